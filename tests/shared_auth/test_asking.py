"""The database asked in a thread of its own: whole questions, and a server that was restarted in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.store.database import open_beside
from shared_auth.asking import Asking
from shared_auth.authorization.grants import Grant, Grants
from tests.shared_auth.flow import RESOURCE, Clock


@pytest.fixture
async def asking(engine: AsyncEngine) -> AsyncIterator[Asking]:
    found = Asking(open_beside(engine))
    yield found
    await found.close()


async def test_questions_are_asked_one_after_the_other_in_one_thread_that_is_not_the_loops(asking: Asking) -> None:
    def who(connection: Connection) -> tuple[int, int]:
        return threading.get_ident(), connection.scalar(text("SELECT 1")) or 0

    answers = await asyncio.gather(*(asking(who) for _ in range(20)))
    [(thread, one)] = set(answers)
    assert (thread != threading.get_ident(), one) == (True, 1)


async def test_grants_are_found_and_ended_through_it(engine: AsyncEngine, asking: Asking, clock: Clock) -> None:
    grants = Grants(engine, ask=asking, clock=clock)
    grant = Grant("one", "ada", "agent", "Agent", "", RESOURCE, "mcp")
    await grants.open(grant, ttl_s=60)
    assert await grants.status("one") == grant
    assert await grants.ended(["one", "two"]) == {"two"}
    clock.advance(60)
    assert await grants.status("one") is None
    assert await grants.ended(["one", "two"]) == {"one", "two"}


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_connection_that_died_in_between_is_replaced(engine: AsyncEngine, asking: Asking) -> None:
    def process(connection: Connection) -> int:
        return connection.scalar(text("SELECT pg_backend_pid()")) or 0

    before = await asking(process)
    async with engine.connect() as other:
        assert await other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})
    assert await asking(process) != before


async def test_a_question_that_cannot_be_answered_raises_and_the_next_is_answered(asking: Asking) -> None:
    with pytest.raises(SQLAlchemyError):
        await asking(lambda connection: connection.execute(text("SELECT nothing FROM nowhere")).all())
    assert await asking(lambda connection: connection.scalar(text("SELECT 2"))) == 2
