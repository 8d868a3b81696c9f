"""The record proves that nobody changed it, for as long as it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Delete, Update, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit import retention
from portal.audit import verify as verifying
from portal.audit.audit import Audit, ProgramLog
from portal.audit.instances import interrupt
from portal.audit.retention import heads, keeping, prune
from portal.audit.verify import verify
from portal.store.tables import audit_anchors, audit_calls, audit_programs
from tests.audit.test_audit import ADA, note


class Clock:
    """Tells the time that a test wants."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        self.ms += 1
        return self.ms


async def ran(audit: Audit, *, calls: int = 2, source: str = "1") -> ProgramLog:
    log = await audit.begin(ADA, source=source)
    for n in range(calls):
        entry = await note(log)
        if n == 1:
            await entry.durable()
        entry.finish("ok", n, 1.5 * n)
    await log.finish("ok", result_bytes=3)
    return log


async def programs(audit: Audit, count: int) -> list[str]:
    return [(await ran(audit)).id for _ in range(count)]


async def faults(engine: AsyncEngine) -> list[str]:
    return [chain.fault for chain in (await verify(engine)).chains if chain.fault]


async def test_what_was_written_is_whole_however_its_rows_shared_commits(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit, Audit(engine, instance="two") as other:
        await asyncio.gather(*[ran(audit, calls=n % 4) for n in range(30)], *[ran(other) for _ in range(5)])
        slow = await audit.begin(ADA, source="émoji 😀 \x00 \ud800")
        await slow.durable()
        open_call = await note(slow)
        await open_call.durable()
        refused = await note(slow, outcome="invalid")
        await ran(audit)
        open_call.finish("timeout", None, 30_000.125)
        await slow.finish("failed", detail="naïve", result_bytes=None)
        del refused
    verdict = await verify(engine)
    assert {(chain.instance, chain.programs, chain.head.sequence) for chain in verdict.chains} == {
        ("one", 32, 32),
        ("two", 5, 5),
    }
    assert verdict.whole
    assert verdict.unchained == 0


async def test_a_process_of_the_same_name_goes_on_with_its_chain(engine: AsyncEngine) -> None:
    for _ in range(3):
        async with Audit(engine, instance="one") as audit:
            await programs(audit, 2)
    (chain,) = (await verify(engine)).chains
    assert (chain.programs, chain.head.sequence, chain.fault) == (6, 6, "")


async def test_a_program_that_nobody_saw_end_is_in_no_chain_and_breaks_none(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit:
        await ran(audit)
        left = await audit.begin(ADA, source="2")
        await (await note(left)).durable()
        await ran(audit)
    verdict = await verify(engine)
    assert verdict.whole
    assert verdict.unchained == 1


async def test_a_process_that_was_taken_for_dead_and_lived_is_whole(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit:
        log = await audit.begin(ADA, source="2")
        ended, forgotten = await note(log), await note(log)
        await forgotten.durable()
        await interrupt(engine, "one")
        ended.finish("ok", 1, 1.0)
        await log.finish("ok")
    assert await faults(engine) == []


CHANGES: dict[str, Update | Delete] = {
    "a program": update(audit_programs).values(subject="mallory"),
    "a program's source": update(audit_programs).values(source="2"),
    "how a program ended": update(audit_programs).values(outcome="ok2"),
    "the name of its chain's place": update(audit_programs).values(sequence=audit_programs.c.sequence + 10),
    "a digest": update(audit_programs).values(digest="0" * 64),
    "a call": update(audit_calls).values(effect="read2"),
    "how a call ended": update(audit_calls).values(outcome="denied"),
    "a call that is gone": delete(audit_calls),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_whatever_is_changed_the_first_program_of_it_is_named(engine: AsyncEngine, what: str) -> None:
    async with Audit(engine, instance="one") as audit:
        ids = await programs(audit, 5)
    change = CHANGES[what]
    column = audit_calls.c.program_id if change.table is audit_calls else audit_programs.c.id
    async with engine.begin() as connection:
        await connection.execute(change.where(column == ids[2]))
    (fault,) = await faults(engine)
    # A row that was moved away leaves a gap before the next.
    assert (ids[3] if "place" in what else ids[2]) in fault


async def test_a_call_that_was_added_is_found(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit:
        ids = await programs(audit, 3)
    copied = {column.name: column for column in audit_calls.c} | {"position": audit_calls.c.position + 10}
    source = select(*[copied[name] for name in copied]).where(audit_calls.c.program_id == ids[1])
    async with engine.begin() as connection:
        await connection.execute(insert(audit_calls).from_select(list(copied), source))
    (fault,) = await faults(engine)
    assert ids[1] in fault


@pytest.mark.parametrize(("gone", "named"), [(0, 1), (2, 3)])
async def test_a_program_that_was_removed_is_missed(engine: AsyncEngine, gone: int, named: int) -> None:
    async with Audit(engine, instance="one") as audit:
        ids = await programs(audit, 5)
    async with engine.begin() as connection:
        await connection.execute(delete(audit_calls).where(audit_calls.c.program_id == ids[gone]))
        await connection.execute(delete(audit_programs).where(audit_programs.c.id == ids[gone]))
    (fault,) = await faults(engine)
    assert ids[named] in fault
    assert "is missing" in fault


async def test_two_programs_that_changed_places_are_found(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit:
        ids = await programs(audit, 4)
    async with engine.begin() as connection:
        for program, place in ((ids[1], 3), (ids[2], 2)):
            row = update(audit_programs).where(audit_programs.c.id == program)
            await connection.execute(row.values(sequence=place))
    (fault,) = await faults(engine)
    assert ids[2] in fault


async def test_a_program_that_could_not_be_written_leaves_no_gap(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="one") as audit:
        await ran(audit)
        broken = await audit.begin(ADA, source="2")
        broken._row.values["source_bytes"] = "many"
        await asyncio.gather(ran(audit), broken.finish("ok"), return_exceptions=True)
        await ran(audit)
    (chain,) = (await verify(engine)).chains
    assert chain.fault == ""
    assert chain.programs in {3, 4}  # SQLite takes any text for a number


async def kept(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        found = [
            await connection.scalar(select(func.count()).select_from(table)) for table in (audit_programs, audit_calls)
        ]
    return found[0] or 0, found[1] or 0


async def test_what_is_old_goes_and_the_rest_is_whole(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "PAUSE_S", 0)
    clock = Clock()
    async with Audit(engine, instance="one", now_ms=clock) as audit, Audit(engine, instance="two", now_ms=clock) as two:
        running = await audit.begin(ADA, source="still runs")
        await running.durable()
        await programs(audit, 5)
        await programs(two, 1)
        cutoff = clock() + 1
        young = await programs(audit, 3)
        assert await prune(engine, cutoff) == 6
        assert await kept(engine) == (4, 6)
        assert await prune(engine, cutoff) == 0
        verdict = await verify(engine)
        assert {(chain.instance, chain.programs, chain.head.sequence) for chain in verdict.chains} == {
            ("one", 3, 8),
            ("two", 0, 1),
        }
        assert verdict.whole
        # Both go on where they were, the one of which nothing is left too.
        await programs(two, 1)
        await running.finish("ok")
        assert {name: head.sequence for name, head in (await heads(engine)).items()} == {"one": 9, "two": 2}
    assert await faults(engine) == []
    async with engine.begin() as connection:
        await connection.execute(update(audit_programs).where(audit_programs.c.id == young[0]).values(outcome="x"))
    (fault,) = await faults(engine)
    assert young[0] in fault


async def test_a_record_that_is_pruned_while_it_is_read_is_whole(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with Audit(engine, instance="one", now_ms=clock) as audit:
        await programs(audit, 6)
    read = verifying._programs

    async def disturbed(*arguments: Any) -> AsyncIterator[Any]:
        async for found in read(*arguments):
            yield found
            await prune(engine, clock() + 1)

    monkeypatch.setattr(verifying, "PAGE", 1)
    monkeypatch.setattr(verifying, "_programs", disturbed)
    (chain,) = (await verify(engine)).chains
    assert (chain.programs, chain.fault) == (6, "")
    assert await kept(engine) == (0, 0)


async def test_a_chain_is_pruned_from_its_beginning_alone(engine: AsyncEngine) -> None:
    clock = Clock()
    async with Audit(engine, instance="one", now_ms=clock) as audit:
        old = await audit.begin(ADA, source="long")
        await old.durable()
        cutoff = clock() + 1
        await programs(audit, 1)
        await old.finish("ok")
    assert await prune(engine, cutoff) == 0
    assert await prune(engine, clock() + 1) == 2
    assert await kept(engine) == (0, 0)


async def test_interrupted_programs_go_too_and_dead_chains_leave_no_anchor(engine: AsyncEngine) -> None:
    clock = Clock()
    async with Audit(engine, instance="one", now_ms=clock) as audit:
        await programs(audit, 2)
        await (await audit.begin(ADA, source="cut off")).durable()
    assert await prune(engine, clock() + 1) == 3
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(audit_anchors)) == 0


async def test_the_record_is_pruned_while_the_portal_runs(engine: AsyncEngine) -> None:
    now = Clock()
    async with Audit(engine, instance="one", now_ms=now) as audit:
        await programs(audit, 3)
        async with keeping(engine, keep_days=1):
            async with asyncio.timeout(20):
                while (await kept(engine))[0]:
                    await asyncio.sleep(0.01)
        assert (await heads(engine))["one"].sequence == 3
