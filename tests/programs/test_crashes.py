"""kill -9 at every step between a pause and its end: no call is ever made twice, and what is left is clear."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from portal.programs.pauses import Person
from tests.programs.crashing import ADA, code, decide, opened, run
from tests.programs.standing import Standing

ONCE, NEVER = 1, 0
GOES_ON, INTERRUPTED, HAS_ENDED = "ok", "interrupted", "never run twice"


# Forked from a process that has imported everything: a fresh one would take longer to start than all that it does.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.programs.crashing"])


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process is killed, what becomes of the program afterwards, and how often its second call was made."""

    action: str
    at: str
    after: str
    drops: int


POINTS = [
    Point("pause", "before:Pauses.save", "", NEVER),
    Point("pause", "after:Pauses.save", INTERRUPTED, NEVER),
    Point("pause", "before:ProgramLog.finish", INTERRUPTED, NEVER),
    Point("pause", "after:ProgramLog.finish", GOES_ON, ONCE),
    Point("decide", "before:Pauses.decide", GOES_ON, ONCE),
    Point("decide", "after:Pauses.decide", GOES_ON, ONCE),
    Point("resume", "before:Pauses.find", GOES_ON, ONCE),
    Point("resume", "before:Pauses.claim", GOES_ON, ONCE),
    Point("resume", "before:pauses.take_up", GOES_ON, ONCE),
    Point("resume", "after:pauses.take_up", GOES_ON, ONCE),
    Point("resume", "after:Pauses.claim", INTERRUPTED, NEVER),
    Point("resume", "after:Audit.resumed", INTERRUPTED, NEVER),
    Point("resume", "before:MontySandbox.resume", INTERRUPTED, NEVER),
    Point("resume", "before:Session.again", INTERRUPTED, NEVER),
    Point("resume", "before:CallEntry.durable", INTERRUPTED, NEVER),
    Point("resume", "after:CallEntry.durable", INTERRUPTED, NEVER),
    Point("resume", "before:Upstreams.call", INTERRUPTED, NEVER),
    Point("resume", "after:Upstreams.call", INTERRUPTED, ONCE),
    Point("resume", "before:CallEntry.finish", INTERRUPTED, ONCE),
    Point("resume", "after:Session.again", INTERRUPTED, ONCE),
    Point("resume", "before:ProgramLog.finish", INTERRUPTED, ONCE),
    Point("resume", "after:ProgramLog.finish", HAS_ENDED, ONCE),
    Point("without a worker", "before:Pauses.give_back", INTERRUPTED, NEVER),
    Point("without a worker", "after:Pauses.give_back", GOES_ON, ONCE),
]


def mark(point: Point) -> str:
    return point.at if point.action == "pause" else f"{point.action} {point.at}"


async def pause(stand: Standing, point: Point) -> str:
    reply = await stand.programs.execute(ADA, code(mark(point)))
    pause_id = reply.text.split('resume="')[1].split('"')[0]
    if point.action != "decide":
        assert await decide(stand, pause_id)
    return pause_id


async def kill(folder: Path, point: Point, pause_id: str) -> int | None:
    process = PROCESSES.Process(target=run, args=(folder, point.action, pause_id, point.at))
    process.start()
    await asyncio.to_thread(process.join)
    return process.exitcode


def calls(folder: Path) -> Counter[str]:
    return Counter((folder / "calls").read_text(encoding="utf-8").splitlines())


async def ids(stand: Standing) -> dict[str, str]:
    """Return the pauses by the mark in their programs."""
    query = "SELECT p.id, a.source FROM paused_programs p JOIN audit_programs a ON a.id = p.program_id"
    async with stand.engine.connect() as connection:
        return {row[1].splitlines()[-1].strip("'"): row[0] for row in await connection.execute(text(query))}


async def test_wherever_the_portal_is_killed_no_call_is_made_twice(tmp_path: Path) -> None:
    async with opened(tmp_path, "first") as stand:
        known = {mark(point): await pause(stand, point) for point in POINTS if point.action != "pause"}
    for point in POINTS:
        assert await kill(tmp_path, point, known.get(mark(point), "")) == -signal.SIGKILL, f"never reached: {point}"
    before = calls(tmp_path)
    async with opened(tmp_path, "next") as stand:
        async with stand.engine.begin() as connection:
            await connection.execute(text("UPDATE audit_instances SET seen_ms = 0 WHERE id <> 'next'"))
        async with opened(tmp_path, "another"):
            pass  # a process that starts sees that those others are dead
        found = await ids(stand)
        for point in POINTS:
            pause_id = found.get(mark(point), "")
            assert bool(pause_id) == (point.at != "before:Pauses.save")
            if pause_id:
                await decide(stand, pause_id)
                for attempt in range(2):
                    reply = (await stand.programs.resume(ADA, pause_id)).text
                    expected = point.after if attempt == 0 else HAS_ENDED if point.after == GOES_ON else point.after
                    assert expected in reply, (point, reply)
            made = calls(tmp_path)
            assert made[f"add_item {mark(point)}"] == ONCE, point
            assert made[f"drop_item {mark(point)}"] == point.drops, point
            if point.after != GOES_ON:
                assert before[f"drop_item {mark(point)}"] == point.drops, point
        assert await stand.pauses.waiting(Person.of(ADA)) == []
