"""A person sees their own programs, newest first, and nobody else's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit
from portal.audit.query import program, recent
from shared_auth.principal import Principal

ADA = Principal("https://id.example", "ada", "agent-1")


async def test_listings_are_newest_first_and_page_without_gap_or_repeat(engine: AsyncEngine) -> None:
    now = iter(range(1_000, 2_000))
    async with Audit(engine, now_ms=lambda: next(now)) as audit:
        for number in range(5):
            await (await audit.begin(ADA, source=str(number))).finish("ok")
    first = await recent(engine, ADA, limit=2)
    second = await recent(engine, ADA, limit=9, before=first[-1].id)
    assert [found.source for found in first + second] == ["4", "3", "2", "1", "0"]


@pytest.mark.requirement("RS-68")
async def test_another_person_sees_neither_the_listing_nor_the_program(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        await log.finish("ok")
    for other in (replace(ADA, subject="bob"), replace(ADA, issuer="https://elsewhere.example")):
        assert await recent(engine, other) == []
        assert await program(engine, other, log.id) is None


async def test_a_person_sees_the_programs_of_all_their_clients(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        await (await audit.begin(ADA, source="1")).finish("ok")
    assert [found.client_id for found in await recent(engine, replace(ADA, client_id="agent-2"))] == ["agent-1"]


async def test_a_program_that_does_not_exist_is_none(engine: AsyncEngine) -> None:
    assert await program(engine, ADA, "0" * 32) is None
