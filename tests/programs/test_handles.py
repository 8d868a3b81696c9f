"""Kept results on both databases: whose they are, how long they live, how much there may be, what the database shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.programs.handles import (
    JSON,
    MAX_RESULTS,
    PART_BYTES,
    Bounds,
    NoSuchResult,
    Results,
    ResultsUnavailable,
    TooLarge,
    is_handle,
)
from portal.store.database import migrate, open_database
from portal.store.tables import result_parts, results
from shared_auth.principal import Principal
from tests.store.databases import postgresql, url

__all__ = ["postgresql", "url"]

ADA = Principal("https://id.example", "ada", "agent-1")
BOB = Principal("https://id.example", "bob", "agent-1")
SECRET = b"s" * 32
BOUNDS = Bounds(life_s=60, handle_bytes=600_000, person_bytes=1_000_000)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_database(url)
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def kept(engine: AsyncEngine, clock: Clock) -> Results:
    return Results(engine, SECRET, BOUNDS, now_ms=clock)


async def rows(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        whole = await connection.scalar(select(func.count()).select_from(results))
        parts = await connection.scalar(select(func.count()).select_from(result_parts))
        return whole or 0, parts or 0


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 4 * PART_BYTES])
async def test_what_is_kept_comes_back_whole_and_from_any_place(kept: Results, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    handle = await kept.keep(ADA, data)
    assert is_handle(handle)
    found, read = await kept.read(ADA, handle)
    assert read == data
    assert (found.handle, found.media_type, found.size_bytes) == (handle, JSON, size)
    for offset in (0, 1, PART_BYTES - 1, PART_BYTES, size - 1, size, size + 10):
        if offset >= 0:
            assert (await kept.read(ADA, handle, offset, 1_000))[1] == data[offset : offset + 1_000]


async def test_another_replica_reads_it_and_another_client_of_the_same_person_too(
    kept: Results, engine: AsyncEngine, clock: Clock
) -> None:
    handle = await kept.keep(ADA, b"[1]", "text/plain")
    elsewhere = Results(engine, SECRET, BOUNDS, now_ms=clock)
    found, data = await elsewhere.read(replace(ADA, client_id="agent-2", grant_id="another"), handle)
    assert (data, found.media_type) == (b"[1]", "text/plain")


@pytest.mark.requirement("RS-70", "RS-72")
@pytest.mark.parametrize("who", [BOB, replace(ADA, issuer="https://other.example"), replace(ADA, subject="Ada")])
async def test_somebody_elses_handle_is_as_unknown_as_one_that_never_was(kept: Results, who: Principal) -> None:
    handle = await kept.keep(ADA, b"[1]")
    for asked in (handle, "r_" + "0" * 26, "r_x", "", handle + "\n", handle.upper(), "r_" + "%" * 26):
        with pytest.raises(NoSuchResult) as caught:
            await kept.read(who, asked)
        assert str(caught.value) == ""
        with pytest.raises(NoSuchResult):
            await kept.find(who, asked)
    assert await kept.mine(who, 10) == []


@pytest.mark.requirement("RS-71")
async def test_handles_are_all_different_and_hard_to_guess(kept: Results) -> None:
    found = {await kept.keep(ADA, b"1") for _ in range(50)}
    assert len(found) == 50
    assert all(is_handle(handle) and len(handle) == 28 for handle in found)  # 26 letters of 32


@pytest.mark.requirement("RS-73")
async def test_it_ends_with_its_time_and_pruning_deletes_it(kept: Results, engine: AsyncEngine, clock: Clock) -> None:
    handle = await kept.keep(ADA, b"x" * 300_000)
    clock.ms += 59_999
    assert (await kept.read(ADA, handle))[0].expires_ms == clock.ms + 1
    await kept.prune()
    assert await rows(engine) == (1, 3)
    clock.ms += 1
    with pytest.raises(NoSuchResult):
        await kept.read(ADA, handle)
    assert await kept.mine(ADA, 10) == []
    await kept.prune()
    assert await rows(engine) == (0, 0)


async def test_the_oldest_of_a_person_make_room_and_nobody_elses(kept: Results, clock: Clock) -> None:
    bobs = await kept.keep(BOB, b"b" * 600_000)
    mine = []
    for _ in range(4):
        clock.ms += 1
        mine.append(await kept.keep(ADA, b"a" * 400_000))
    assert [one.handle for one in await kept.mine(ADA, 10)] == [mine[3], mine[2]]
    assert [one.handle for one in await kept.mine(BOB, 10)] == [bobs]


async def test_there_may_be_so_many_however_small(kept: Results, engine: AsyncEngine, clock: Clock) -> None:
    first = await kept.keep(ADA, b"1")
    async with engine.begin() as connection:
        template = (await connection.execute(select(results))).one()._asdict()
        many = [
            template | {"handle": f"r_{n:026}", "created_ms": clock.ms + 1 + n, "size_bytes": 1}
            for n in range(MAX_RESULTS - 1)
        ]
        await connection.execute(results.insert(), many)
    clock.ms += MAX_RESULTS + 1
    last = await kept.keep(ADA, b"2")
    assert (await rows(engine))[0] == MAX_RESULTS
    with pytest.raises(NoSuchResult):
        await kept.find(ADA, first)
    await kept.find(ADA, last)


async def test_more_than_a_handle_holds_is_refused_and_nothing_is_lost(kept: Results) -> None:
    handle = await kept.keep(ADA, b"1")
    with pytest.raises(TooLarge) as caught:
        await kept.keep(ADA, b"x" * 600_001)
    assert caught.value.allowed == 600_000
    assert (await kept.read(ADA, handle))[1] == b"1"


async def test_many_are_listed_page_by_page_newest_first(kept: Results, clock: Clock) -> None:
    made = []
    for n in range(7):
        clock.ms += n % 2  # some in the same millisecond
        made.append(await kept.keep(ADA, b"1"))
    found: list[str] = []
    before = None
    while page := await kept.mine(ADA, 2, before=before):
        found += [one.handle for one in page]
        before = (page[-1].created_ms, page[-1].handle)
    assert sorted(found) == sorted(made)
    assert len(found) == len(set(found))


@pytest.mark.requirement("RS-75")
async def test_the_database_shows_nothing_of_it(kept: Results, engine: AsyncEngine) -> None:
    secret = b"the salary of everybody"
    handle = await kept.keep(ADA, secret * 10_000)
    async with engine.connect() as connection:
        parts = (await connection.scalars(select(result_parts.c.sealed))).all()
    assert len(parts) == 2
    assert all(secret not in part for part in parts)
    with pytest.raises(ResultsUnavailable) as caught:
        await Results(engine, b"t" * 32, BOUNDS, now_ms=kept._now_ms).read(ADA, handle)
    assert "salary" not in str(caught.value)


@pytest.mark.requirement("RS-75")
@pytest.mark.parametrize(
    "changes",
    [
        ["UPDATE results SET subject = 'bob'"],
        ["UPDATE result_parts SET position = position + 10", "UPDATE result_parts SET position = 12 - position"],
        ["DELETE FROM result_parts WHERE position = 2"],
        ["DELETE FROM result_parts WHERE position = 1"],
        ["UPDATE results SET size_bytes = size_bytes + 1"],
    ],
)
async def test_who_can_write_to_the_database_cannot_put_a_result_into_other_hands_or_another_order(
    kept: Results, engine: AsyncEngine, changes: list[str]
) -> None:
    handle = await kept.keep(ADA, bytes(3 * PART_BYTES))
    async with engine.begin() as connection:
        for change in changes:
            await connection.execute(text(change))
    with pytest.raises(ResultsUnavailable):
        await kept.read(BOB if "bob" in changes[0] else ADA, handle)


async def test_without_a_database_it_is_said_so(kept: Results, engine: AsyncEngine) -> None:
    handle = await kept.keep(ADA, b"1")
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE result_parts"))
        await connection.execute(text("ALTER TABLE results RENAME TO elsewhere"))
    with pytest.raises(ResultsUnavailable):
        await kept.keep(ADA, b"2")
    with pytest.raises(ResultsUnavailable):
        await kept.read(ADA, handle)
    with pytest.raises(ResultsUnavailable):
        await kept.mine(ADA, 1)


async def test_many_programs_of_a_person_keep_at_the_same_time(kept: Results) -> None:
    handles = await asyncio.gather(*[kept.keep(ADA, bytes([n]) * 50_000) for n in range(12)])
    for n, handle in enumerate(handles):
        assert (await kept.read(ADA, handle))[1] == bytes([n]) * 50_000
