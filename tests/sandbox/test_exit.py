"""A process that has run, cancelled and killed programs ends in peace: with its own exit code, leaving nobody behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import asyncio, os, signal, sys
from dataclasses import replace
from portal.sandbox.contract import Options
from portal.sandbox.monty import MontySandbox
from tests.sandbox.conftest import DESK, LIMITS, Desk, children

async def main(leave):
    async with MontySandbox(Options(jail="off", min_workers=2, max_workers=8)) as sandbox:
        for round in range(3):
            for code in ("while True: pass", "import desk\\nawait desk.block()", "import desk, asyncio\\nawait asyncio.gather(desk.block(), desk.block())"):
                task = asyncio.create_task(sandbox.run(code, [DESK], Desk(), replace(LIMITS, cpu_s=30.0)))
                await asyncio.sleep(0.02)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            desk = Desk()
            desk.gate.set()
            spin = "import desk\\nawait desk.block()\\nwhile True: pass"
            task = asyncio.create_task(sandbox.run(spin, [DESK], desk, replace(LIMITS, cpu_s=30.0)))
            await desk.blocked.wait()
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            assert (await task).failure.kind == "crashed"
        assert (await sandbox.run("1 + 1", [], Desk(), LIMITS)).value == 2
        if leave:
            print("leaving", *children(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    print("done", flush=True)

asyncio.run(main(sys.argv[1] == "leave"))
"""


@pytest.mark.parametrize("attempt", range(3))
def test_the_host_exits_with_zero_after_workers_were_killed(attempt: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, "stay"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "done"), done.stderr
    assert done.stderr == ""


def test_workers_end_with_a_host_that_was_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "leave"], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -9
    word, *pids = done.stdout.splitlines()[-1].split()
    assert word == "leaving"
    assert len(pids) >= 2
    for pid in pids:
        # A worker reads the end of its socket and leaves: bounded waiting, not timing.
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
                break
            subprocess.run(["sleep", "0.05"], check=True)
        else:
            pytest.fail(f"worker {pid} outlived its host")
