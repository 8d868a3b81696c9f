"""kill -9, anywhere: nothing that was acknowledged is lost, and what is left works."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.asking import agent, ask, eventually
from tests.running import ROOT, free_port, portal

SLOW = '[upstreams.slow]\nmodule = "tests.upstreams.slow"\n'
WAITING = "import slow\n# {mark}\nawait slow.wait_for(seconds=30)"


def outcomes(folder: Path, mark: str) -> list[str]:
    """Return the recorded outcomes of programs whose source holds ``mark``."""
    with sqlite3.connect(f"file:{folder / 'portal.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT outcome FROM audit_programs WHERE source LIKE ?", (f"%{mark}%",))
        return [row[0] for row in rows]


def workers(portal_pid: int) -> list[int]:
    """Return the sandbox processes below a portal."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if fields.get("PPid") == str(portal_pid) and fields.get("Name", "").startswith("monty"):
            found.append(int(fields["Pid"]))
    return found


async def test_a_killed_portal_has_recorded_every_program_that_it_answered(tmp_path: Path) -> None:
    with portal(tmp_path, SLOW) as running:
        token = running.token()

        async def ask_and_wait() -> None:
            async with agent(running, token) as client:
                await ask(client, "execute", code=WAITING.format(mark="half-way"))

        async with agent(running, token) as client:
            texts = await asyncio.gather(*(ask(client, "execute", code=f"# done-{i}.\n{i}+1") for i in range(7)))
        assert [failed for _, failed in texts] == [False] * 7
        waiting = asyncio.create_task(ask_and_wait())
        assert await asyncio.to_thread(eventually, lambda: outcomes(tmp_path, "half-way") == ["running"])
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        (lost,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(lost, BaseException)
    assert [outcomes(tmp_path, f"done-{i}.") for i in range(7)] == [["ok"]] * 7
    with portal(tmp_path, SLOW, port=running.base.rsplit(":", 1)[1]):
        assert outcomes(tmp_path, "half-way") == ["interrupted"]


async def test_a_token_outlives_a_killed_portal(tmp_path: Path) -> None:
    with portal(tmp_path, SLOW) as running:
        token = running.token()
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    port = running.base.rsplit(":", 1)[1]
    with portal(tmp_path, SLOW, port=port) as again:
        async with agent(again, token) as client:
            text, failed = await ask(client, "execute", code="6*7")
            assert not failed
            assert text.endswith("42")


async def test_a_killed_worker_costs_its_own_program_only(tmp_path: Path) -> None:
    with portal(tmp_path, SLOW) as running:
        async with agent(running, running.token()) as client:
            waiting = asyncio.create_task(ask(client, "execute", code=WAITING.format(mark="victim")))
            assert await asyncio.to_thread(eventually, lambda: outcomes(tmp_path, "victim") == ["running"])
            for pid in workers(running.process.pid):
                os.kill(pid, signal.SIGKILL)
            text, failed = await waiting
            assert failed
            assert "crashed" in text
            assert "slow.wait_for" in text
            assert outcomes(tmp_path, "victim") == ["crashed"]
            text, failed = await ask(client, "execute", code="6*7")
            assert not failed, text


async def test_a_client_that_goes_away_takes_its_program_with_it(tmp_path: Path) -> None:
    with portal(tmp_path, SLOW) as running:
        async with agent(running, running.token()) as client:
            waiting = asyncio.create_task(ask(client, "execute", code=WAITING.format(mark="left")))
            assert await asyncio.to_thread(eventually, lambda: outcomes(tmp_path, "left") == ["running"])
            waiting.cancel()
            assert await asyncio.to_thread(eventually, lambda: outcomes(tmp_path, "left") == ["cancelled"])


@contextmanager
def notes_vendor(port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "servers._template.emulator:emulator", "--factory"),
            *("--port", str(port), "--log-level", "warning"),
        ],
        cwd=ROOT,
    )

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/api/notes", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        assert eventually(answers)
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_killed_vendor_is_a_failure_that_programs_can_catch_and_it_comes_back(tmp_path: Path) -> None:
    port = free_port()
    config = (
        '[auth.local_person]\ngroups = ["portal-writers"]\n[upstreams.notes]\nmodule = "servers._template"\n'
        f'[upstreams.notes.settings]\nurl = "http://127.0.0.1:{port}"\n'
    )
    write = "import notes\n(await notes.add_note(title='kept', text='.'))['id']"
    read = (
        "import notes\ntry:\n    r = len((await notes.list_notes())['items'])\nexcept OSError as e:\n    r = str(e)\nr"
    )
    with portal(tmp_path, config) as running:
        async with agent(running, running.token()) as client:
            with notes_vendor(port):
                text, failed = await ask(client, "execute", code=write)
                assert not failed, text
            text, failed = await ask(client, "execute", code=read)
            assert not failed, text
            assert "cannot be reached" in text
            with sqlite3.connect(f"file:{tmp_path / 'portal.db'}?mode=ro", uri=True) as database:
                rows = database.execute("SELECT tool, effect, outcome FROM audit_calls ORDER BY started_ms").fetchall()
            assert rows[0] == ("add_note", "write", "ok")
            assert rows[1][0] == "list_notes"
            assert rows[1][2] != "ok"
            with notes_vendor(port):
                text, failed = await ask(client, "execute", code=read)
                assert text.endswith("3"), text
