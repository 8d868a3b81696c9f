"""A program ends with its grant, and with no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from sqlalchemy.exc import OperationalError

from portal.programs.revocations import Revocations, Revoked


class Grants:
    """What the database would say; counts how often it was asked."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.asked: list[set[str]] = []
        self.down = False
        self.answered = asyncio.Event()

    async def ended(self, grant_ids: Collection[str]) -> set[str]:
        self.asked.append(set(grant_ids))
        self.answered.set()
        if self.down:
            raise OperationalError("", {}, Exception())
        return self.gone & set(grant_ids)


async def program(revocations: Revocations, grant_id: str) -> str:
    try:
        async with revocations.watching(grant_id):
            await asyncio.Event().wait()
    except Revoked:
        return "revoked"
    return "finished"


async def test_every_program_of_an_ended_grant_ends_and_no_other() -> None:
    grants = Grants()
    async with Revocations(grants.ended, poll_s=0.001).running() as revocations:
        mine = [asyncio.create_task(program(revocations, "mine")) for _ in range(3)]
        other = asyncio.create_task(program(revocations, "other"))
        await grants.answered.wait()
        assert not any(task.done() for task in [*mine, other])
        grants.gone.add("mine")
        assert await asyncio.gather(*mine) == ["revoked"] * 3
        grants.answered.clear()
        await grants.answered.wait()
        assert grants.asked[-1] == {"other"}
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        assert other.cancelled()


async def test_nothing_is_asked_while_nothing_runs_or_the_command_line_does() -> None:
    grants = Grants()
    async with Revocations(grants.ended, poll_s=0).running() as revocations:
        async with revocations.watching(""):
            for _ in range(20):
                await asyncio.sleep(0)
        async with revocations.watching("short"):
            pass
        for _ in range(20):
            await asyncio.sleep(0)
    assert all(asked <= {"short"} for asked in grants.asked)
    assert len(grants.asked) <= 1


async def test_a_timeout_of_the_program_itself_is_no_revocation() -> None:
    async with Revocations(Grants().ended).running() as revocations:
        with pytest.raises(TimeoutError):
            async with revocations.watching("mine"):
                raise TimeoutError


async def test_a_database_that_stays_silent_ends_every_program() -> None:
    grants = Grants()
    grants.down = True
    async with Revocations(grants.ended, poll_s=0.001).running() as revocations:
        assert await program(revocations, "mine") == "revoked"
        assert len(grants.asked) == 5


async def test_one_missed_poll_ends_nothing() -> None:
    grants = Grants()
    grants.down = True
    async with Revocations(grants.ended, poll_s=0.001).running() as revocations:
        running = asyncio.create_task(program(revocations, "mine"))
        await grants.answered.wait()
        grants.down = False
        for _ in range(10):
            grants.answered.clear()
            await grants.answered.wait()
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
