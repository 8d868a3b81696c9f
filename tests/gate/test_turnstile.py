"""Places are never lost or doubled, whoever is cancelled when, and persons take turns."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from portal.gate.turnstile import Turnstile
from tests.gate.standing import turns


async def test_persons_take_turns_however_many_wait() -> None:
    turnstile = Turnstile(1)
    await turnstile.enter("first")
    order: list[str] = []

    async def one(who: str) -> None:
        await turnstile.enter(who)
        order.append(who)
        turnstile.leave()

    waiting = [asyncio.create_task(one(who)) for who in ("a", "a", "a", "a", "b", "c", "b")]
    await turns()
    turnstile.leave()
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "a", "b", "a", "a"]


async def test_a_place_given_to_one_who_is_cancelled_in_that_moment_goes_on_to_the_next() -> None:
    turnstile = Turnstile(1)
    await turnstile.enter("a")
    unlucky = asyncio.create_task(turnstile.enter("b"))
    lucky = asyncio.create_task(turnstile.enter("c"))
    await turns()
    turnstile.leave()
    unlucky.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await unlucky
    await lucky
    assert unlucky.cancelled()


@given(
    places=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "cancel", "turn"]), st.integers(0, 5)), min_size=1, max_size=60
    ),
)
def test_there_are_never_more_inside_than_places_and_none_waits_beside_a_free_one(
    places: int, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        turnstile = Turnstile(places)
        inside: list[int] = []
        tasks: list[asyncio.Task[None]] = []

        async def enter(who: int) -> None:
            await turnstile.enter(who)
            inside.append(who)
            assert len(inside) <= places

        for what, who in steps:
            match what:
                case "enter":
                    tasks.append(asyncio.create_task(enter(who)))
                case "leave" if inside:
                    inside.pop()
                    turnstile.leave()
                case "cancel" if tasks:
                    tasks[who % len(tasks)].cancel()
                case _:
                    await turns(3)
        await turns(5)
        waiting = sum(not task.done() for task in tasks)
        assert waiting == 0 or len(inside) == places
        while inside:
            inside.pop()
            turnstile.leave()
            await turns(3)
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(play())
