"""A program on CPython that waits for a person: in its process, on no clock, and only where there is room for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from portal.sandbox.contract import Again, CallPaused, CallRevoked, Limits, Options, Outcome, PendingCall
from portal.sandbox.cpython.sandbox import CPythonSandbox
from tests.sandbox.conftest import DESK, LIMITS, children
from tests.sandbox.test_pause import Asking

ONE = "import desk\nr = await desk.echo('a')\n[r, 'done']"


@pytest.fixture
async def cpython() -> AsyncIterator[CPythonSandbox]:
    async with CPythonSandbox(Options(jail="require", warm_children=1, max_workers=2)) as found:
        assert found.missing() == []
        yield found


class Seat:
    """Holds a program until it is told to go on. ``room`` is whether there is any."""

    def __init__(self, again: Again, *, room: bool = True) -> None:
        self.again = again
        self.room = room
        self.reserved = 0
        self.waiting: asyncio.Queue[tuple[PendingCall, ...]] = asyncio.Queue()
        self.answer: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.left = asyncio.Event()

    def reserve(self) -> bool:
        self.reserved += 1
        return self.room

    async def hold(self, pending: tuple[PendingCall, ...]) -> Again:
        self.waiting.put_nowait(pending)
        try:
            wrong = await self.answer.get()
        finally:
            self.left.set()
        if wrong is not None:
            raise wrong
        return self.again


def start(
    cpython: CPythonSandbox, code: str, desk: Asking, seat: Seat, limits: Limits = LIMITS
) -> asyncio.Task[Outcome]:
    return asyncio.create_task(cpython.run(code, [DESK], desk, limits, holding=seat))


async def test_it_goes_on_in_its_process_when_the_call_can_be_answered(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    running = start(
        cpython, "import desk\nx = object()\nr = await desk.echo('a', other=3)\n[r, type(x).__name__]", desk, seat
    )
    [call] = await seat.waiting.get()
    assert (call.module, call.function, call.arguments, call.need) == (
        "desk",
        "echo",
        {"value": "a", "other": 3},
        {"why": "a"},
    )
    seat.answer.put_nowait(None)
    outcome = await running
    assert (outcome.failure, outcome.value, outcome.engine) == (None, ["a!", "object"], "cpython")
    assert desk.again == [call]


async def test_a_refusal_is_an_error_that_the_program_can_handle(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.refuse)
    running = start(
        cpython,
        "import desk\ntry:\n    await desk.echo('a')\nexcept PermissionError as e:\n    r = str(e)\nr",
        desk,
        seat,
    )
    await seat.waiting.get()
    seat.answer.put_nowait(None)
    assert (await running).value == "no"


async def test_everything_that_can_be_done_is_done_before_it_waits(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    code = """\
import asyncio, desk
async def two(x):
    await desk.echo(x)
    await asyncio.sleep(0.05)
    return await desk.echo([x])
await asyncio.gather(desk.echo('a'), two(1), desk.echo('b'), two(2))
"""
    running = start(cpython, code, desk, seat)
    waiting = await seat.waiting.get()
    assert [call.arguments["value"] for call in waiting] == ["a", "b"]
    assert [arguments["value"] for _, arguments in desk.seen] == [1, 2, [1], [2]]
    seat.answer.put_nowait(None)
    assert (await running).value == ["a!", [1], "b!", [2]]


async def test_it_can_wait_again(cpython: CPythonSandbox) -> None:
    desk = Asking()
    asked_again = 0

    async def first_no_then_yes(call: PendingCall) -> Any:
        nonlocal asked_again
        asked_again += 1
        if asked_again == 1:
            raise CallPaused({"why": "still"})
        return await desk.allow(call)

    seat = Seat(first_no_then_yes)
    running = start(cpython, ONE + "\nawait desk.echo('b')", desk, seat)
    needs = []
    for _ in range(3):
        [call] = await seat.waiting.get()
        needs.append(call.need["why"])
        seat.answer.put_nowait(None)
    assert (await running).value == "b!"
    assert needs == ["a", "still", "b"]


async def test_while_it_waits_no_time_goes_by(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    running = start(cpython, ONE, desk, seat, replace(LIMITS, wall_s=0.7))
    await seat.waiting.get()
    await asyncio.sleep(1.0)
    assert not running.done()
    seat.answer.put_nowait(None)
    assert (await running).value == ["a!", "done"]


async def test_afterwards_its_time_goes_on(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    running = start(cpython, ONE + "\nawait desk.block()", desk, seat, replace(LIMITS, wall_s=1.0))
    await seat.waiting.get()
    seat.answer.put_nowait(None)
    failure = (await running).failure
    assert failure is not None
    assert failure.limit == "wall_s"


async def test_without_room_the_call_fails_and_says_what_to_write(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow, room=False)
    code = "import desk\ntry:\n    await desk.echo('a')\nexcept PermissionError as e:\n    r = str(e)\nr"
    outcome = await cpython.run(code, [DESK], desk, LIMITS, holding=seat)
    assert "no more programs on CPython can wait now. The call was not made." in str(outcome.value)
    assert (seat.reserved, desk.again) == (1, [])


async def test_it_is_ended_from_where_it_is_held(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    before = children()
    running = start(cpython, ONE, desk, seat)
    await seat.waiting.get()
    seat.answer.put_nowait(CallRevoked("paused_programs", "too many"))
    failure = (await running).failure
    assert failure is not None
    assert (failure.limit, failure.message) == ("paused_programs", "too many")
    assert children() <= before


async def test_a_worker_that_dies_ends_the_wait(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    told: list[str] = []
    code = "import os, desk\nprint(os.getpid(), flush=True)\nawait desk.echo('a')"
    running = asyncio.create_task(cpython.run(code, [DESK], desk, LIMITS, told.append, holding=seat))
    await seat.waiting.get()
    os.kill(int("".join(told)), signal.SIGKILL)
    failure = (await running).failure
    assert failure is not None
    assert failure.kind == "crashed"
    assert seat.left.is_set()


async def test_cancelling_ends_the_wait(cpython: CPythonSandbox) -> None:
    desk = Asking()
    seat = Seat(desk.allow)
    running = start(cpython, ONE, desk, seat)
    await seat.waiting.get()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await seat.left.wait()
