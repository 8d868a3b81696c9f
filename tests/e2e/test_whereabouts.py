"""A portal is started on a port of its own, and commands in another shell, which know nothing of that port, find it."""

from __future__ import annotations

import json
import signal
import stat
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.running import Running, free_port, portal

CONFIG = """
[auth.local_person]
groups = ["portal-writers"]
[upstreams.notes]
module = "servers._template"
"""
COUNT = "import notes\nlen((await notes.list_notes())['items'])"
ADD = "import notes\n(await notes.add_note(title='Hello', text='World'))['title']"


def another_shell(running: Running, **settings: str) -> Running:
    """Return the same portal as somebody sees it who did not start it."""
    kept = {name: value for name, value in running.environment.items() if name != "PORTAL_PORT"}
    return replace(running, environment=kept | {f"PORTAL_{name.upper()}": value for name, value in settings.items()})


def said(running: Running, *arguments: str, stdin: str | None = None) -> str:
    done = running.command(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def opens(running: Running, token: str) -> bool:
    answer = httpx.post(f"{running.base}/mcp", json={}, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return answer.status_code != 401


def ends(running: Running, token: str) -> bool:
    """Say whether the token stops working soon: another process was told of the revocation, which takes half a second."""
    deadline = time.monotonic() + 10
    while opens(running, token) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not opens(running, token)


def test_commands_find_the_portal_that_runs(tmp_path: Path) -> None:
    with portal(tmp_path, CONFIG) as running:
        note = tmp_path / "running.json"
        assert json.loads(note.read_text()) == {"address": running.base, "pid": running.process.pid}
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        shell = another_shell(running)
        assert said(shell, "sign-in").startswith(f"{running.base}/sign-in?")
        token = said(shell, "token").strip()
        assert opens(running, token)
        # What is added is kept by the process: only the running portal's own has it afterwards.
        before = int(said(shell, "run", "-", stdin=COUNT).splitlines()[1])
        said(shell, "run", "-", stdin=ADD)
        assert int(said(shell, "run", "-", stdin=COUNT).splitlines()[1]) == before + 1
        assert "import notes" in said(shell, "search", "list the notes")
        assert "grants ended" in said(shell, "revoke", "--all")
        assert ends(running, token)
    assert not note.exists()


def test_an_address_in_the_commands_own_environment_wins(tmp_path: Path) -> None:
    with portal(tmp_path, CONFIG) as running:
        port = str(free_port())
        assert said(another_shell(running, port=port), "sign-in").startswith(f"http://127.0.0.1:{port}/sign-in?")


def test_a_note_that_a_killed_portal_left_is_ignored_and_replaced_by_the_next(tmp_path: Path) -> None:
    with portal(tmp_path, CONFIG) as running:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(20)
        assert (tmp_path / "running.json").exists()
        assert said(another_shell(running), "sign-in").startswith("http://127.0.0.1:8300/sign-in?")
    with portal(tmp_path, CONFIG) as running:
        assert said(another_shell(running), "sign-in").startswith(f"{running.base}/sign-in?")
        # Alive, but it answers nobody: the default is tried.
        running.process.send_signal(signal.SIGSTOP)
        try:
            assert said(another_shell(running), "sign-in").startswith("http://127.0.0.1:8300/sign-in?")
        finally:
            running.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_takes_the_note_away(tmp_path: Path, number: signal.Signals) -> None:
    with portal(tmp_path, CONFIG) as running:
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
        assert not (tmp_path / "running.json").exists()
