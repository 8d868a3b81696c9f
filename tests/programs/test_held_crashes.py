"""kill -9 at every step of a program that is held in its process: no call is made twice, and nobody goes on with it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.programs.crashing import ADA, decide, opened
from tests.programs.test_crashes import INTERRUPTED, NEVER, ONCE, Point, calls, ids, kill

LOST = "that this request did not reach"
POINTS = [
    Point("held", "before:Pauses.save", "", NEVER),
    Point("held", "after:Pauses.save", INTERRUPTED, NEVER),
    Point("held", "before:ProgramLog.finish", INTERRUPTED, NEVER),
    Point("held", "after:ProgramLog.finish", LOST, NEVER),
    Point("held, resumed", "before:Pauses.claim", LOST, NEVER),
    Point("held, resumed", "after:pauses.take_up", LOST, NEVER),
    Point("held, resumed", "after:Pauses.claim", INTERRUPTED, NEVER),
    Point("held, resumed", "before:Session.again", INTERRUPTED, NEVER),
    Point("held, resumed", "after:CallEntry.durable", INTERRUPTED, NEVER),
    Point("held, resumed", "before:Upstreams.call", INTERRUPTED, NEVER),
    Point("held, resumed", "after:Upstreams.call", INTERRUPTED, ONCE),
    Point("held, resumed", "before:ProgramLog.finish", INTERRUPTED, ONCE),
    Point("held, resumed", "after:ProgramLog.finish", "never run twice", ONCE),
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.action} {point.at}")
async def test_wherever_the_portal_is_killed_nothing_is_done_twice(tmp_path: Path, point: Point) -> None:
    assert await kill(tmp_path, point, "") == -signal.SIGKILL, "never reached"
    async with opened(tmp_path, "next", engines=True) as stand:
        async with stand.engine.begin() as connection:
            await connection.execute(text("UPDATE audit_instances SET seen_ms = 0 WHERE id <> 'next'"))
        async with opened(tmp_path, "another"):
            pass  # a process that starts sees that the other is dead
        pause_id = (await ids(stand)).get(point.at, "")
        assert bool(pause_id) == bool(point.after)
        if pause_id:
            await decide(stand, pause_id)
            for _ in range(2):
                assert point.after in (await stand.programs.resume(ADA, pause_id)).text
        assert calls(tmp_path)[f"add_item {point.at}"] == ONCE
        assert calls(tmp_path)[f"drop_item {point.at}"] == point.drops
        assert (await stand.run("1", ADA)).startswith("ok")
