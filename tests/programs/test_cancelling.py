"""A program that is cancelled while it computes: its process is gone, and the record says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.programs.standing import WRITER, Standing, standing
from tests.programs.test_progress import ENGINES, Heard
from tests.sandbox.test_jail import needs_jail

MANY_TICKS = 5


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path, engines=True) as found:
        yield found


@needs_jail
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_program_that_computes_is_killed_with_its_call(both: Standing, engine: str) -> None:
    heard = Heard()
    code = f"{engine}print('computing')\nwhile True:\n    pass"
    running = asyncio.create_task(both.programs.execute(WRITER, code, heard))
    await heard.until("computing")
    busy = await computing()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await both.recorded() == ["cancelled"]
    async with asyncio.timeout(10):
        while ticks(busy) is not None:
            await asyncio.sleep(0.005)


async def computing() -> int:
    """Return the process below this one that computes."""
    before = {pid: ticks(pid) or 0 for pid in descendants(os.getpid())}
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.005)
            for pid, spent in before.items():
                if (ticks(pid) or 0) > spent + MANY_TICKS:
                    return pid


def descendants(pid: int) -> set[int]:
    """Return the processes below one."""
    found: set[int] = set()
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for task in tasks:
            for child in (task / "children").read_text().split():
                found |= {int(child)} | descendants(int(child))
    except OSError:
        return found
    return found


def ticks(pid: int) -> int | None:
    """Return how much processor time a process has had; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[11]) + int(fields[12])
