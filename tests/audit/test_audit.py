"""The record says what happened, is on disk when it says so, and refuses when it cannot be."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit, AuditUnavailable, CallEntry, ProgramLog
from portal.audit.instances import STALE_MS, beat
from portal.audit.query import ProgramRecord, program, recent
from portal.store.database import open_database
from portal.store.tables import audit_calls, audit_instances, audit_programs
from shared_auth.principal import Principal

ROOT = Path(__file__).resolve().parents[2]
ADA = Principal("https://id.example", "ada", "agent-1", grant_id="g1", client_name="An agent")
BOB = Principal("https://id.example", "bob", "agent-1")


async def note(log: ProgramLog, tool: str = "get_issue", effect: str = "read", **more: Any) -> CallEntry:
    return await log.call(
        "gitlab",
        tool,
        effect,
        "allow",
        ("anyone-may-read",),
        argument_names=("project", "issue"),
        arguments_sha256="0" * 64,
        argument_bytes=17,
        **more,
    )


async def stored(engine: AsyncEngine, log: ProgramLog, principal: Principal = ADA) -> ProgramRecord:
    found = await program(engine, principal, log.id)
    assert found is not None
    return found


async def test_a_program_is_recorded_with_its_calls_in_order(engine: AsyncEngine) -> None:
    async with Audit(engine, now_ms=lambda: 1_700_000_000_123) as audit:
        log = await audit.begin(ADA, source="import gitlab")
        first = await note(log)
        second = await note(log, "close_issue", "write")
        second.finish("ok", 12, 3.25)
        first.finish("timeout", None, 30_000.0)
        await log.finish("failed", detail="TimeoutError", result_bytes=5)
    found = await stored(engine, log)
    assert (found.source, found.source_bytes) == ("import gitlab", 13)
    assert found.source_sha256 == hashlib.sha256(b"import gitlab").hexdigest()
    assert (found.kind, found.client_id, found.client_name) == ("execute", "agent-1", "An agent")
    assert (found.started_ms, found.outcome, found.detail, found.result_bytes) == (
        1_700_000_000_123,
        "failed",
        "TimeoutError",
        5,
    )
    assert found.elapsed_ms is not None
    assert found.elapsed_ms >= 0
    one, two = found.calls
    assert (one.tool, one.effect, one.outcome, one.result_bytes, one.elapsed_ms) == (
        "get_issue",
        "read",
        "timeout",
        None,
        30_000.0,
    )
    assert (two.tool, two.effect, two.outcome, two.result_bytes, two.elapsed_ms) == (
        "close_issue",
        "write",
        "ok",
        12,
        3.25,
    )
    assert one.policy_ids == ("anyone-may-read",)
    assert one.argument_names == ("project", "issue")
    assert (one.decision, one.argument_bytes, one.arguments_sha256) == ("allow", 17, "0" * 64)


async def test_what_is_durable_is_there_for_another_connection(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        await log.durable()
        assert (await stored(engine, log)).outcome == "running"
        entry = await note(log, effect="write")
        await entry.durable()
        assert [call.outcome for call in (await stored(engine, log)).calls] == ["running"]
        entry.finish("ok", 1, 1.0)
        await log.finish("ok")
        assert [call.outcome for call in (await stored(engine, log)).calls] == ["ok"]


async def test_the_end_of_a_call_is_written_although_its_program_goes_on(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        entry = await note(log, effect="write")
        await entry.durable()
        entry.finish("ok", 1, 1.0)
        async with asyncio.timeout(10):
            while (await stored(engine, log)).calls[0].outcome != "ok":
                await asyncio.sleep(0.01)


async def test_a_durable_call_implies_its_program(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        await (await note(log, effect="write")).durable()
        assert len((await stored(engine, log)).calls) == 1


async def test_a_call_that_ends_before_it_is_written_is_written_once_with_its_end(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        entry = await note(log)
        entry.finish("ok", 7, 1.0)
        await entry.durable()
        assert [(call.outcome, call.result_bytes) for call in (await stored(engine, log)).calls] == [("ok", 7)]


async def test_the_first_outcome_of_a_program_stands(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        await log.finish("ok")
        await log.finish("failed", detail="too late")
        assert (await stored(engine, log)).outcome == "ok"


async def test_the_end_is_recorded_although_who_waited_for_it_was_cancelled(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        ending = asyncio.create_task(log.finish("cancelled"))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
    assert (await stored(engine, log)).outcome == "cancelled"


async def test_many_programs_at_once_are_all_recorded(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:

        async def one(number: int) -> None:
            log = await audit.begin(ADA, source=str(number))
            for _ in range(3):
                entry = await note(log)
                await asyncio.sleep(0)
                entry.finish("ok", number, 1.0)
            await log.finish("ok", result_bytes=number)

        await asyncio.gather(*(one(number) for number in range(200)))
        async with engine.connect() as connection:
            programs = await connection.scalar(
                select(func.count()).where(
                    audit_programs.c.outcome == "ok", audit_programs.c.source_bytes > 0, audit_programs.c.elapsed_ms > 0
                )
            )
            calls = await connection.scalar(select(func.count()).where(audit_calls.c.outcome == "ok"))
    assert (programs, calls) == (200, 600)


@pytest.mark.parametrize("hostile", ["\x00", "\ud800", "'; DROP TABLE audit_calls; --", "😀" * 400, "%s %(x)s :x {x}"])
async def test_hostile_text_is_stored_and_harms_nobody(engine: AsyncEngine, hostile: str) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(Principal("i", hostile, hostile, client_name=hostile), source=hostile, kind=hostile)
        other = await audit.begin(ADA, source="1")
        entry = await log.call(
            hostile,
            hostile,
            hostile,
            hostile,
            (hostile,),
            argument_names=(hostile,) * 100,
            arguments_sha256="0" * 64,
            argument_bytes=0,
        )
        entry.finish(hostile, None, 0.0)
        await log.finish(hostile, detail=hostile)
        await other.finish("ok")
        assert (await stored(engine, other)).outcome == "ok"
        async with engine.connect() as connection:
            assert await connection.scalar(select(func.count()).select_from(audit_calls)) == 1


async def test_one_program_that_the_database_refuses_takes_no_other_with_it(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        bad, good = await audit.begin(ADA, source="bad"), await audit.begin(ADA, source="good")
        too_big = await note(bad)
        too_big.finish("ok", 2**70, 1.0)
        await good.finish("ok")
        with pytest.raises(AuditUnavailable):
            await bad.finish("ok")
        with pytest.raises(AuditUnavailable):
            await note(bad)
        assert (await stored(engine, good)).outcome == "ok"
        assert await program(engine, ADA, bad.id) is None


async def test_of_a_program_that_the_database_refuses_nothing_goes_into_the_next_commit(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        bad, running = await audit.begin(ADA, source="bad"), await audit.begin(ADA, source="running")
        too_big = await note(bad)
        too_big.finish("ok", 2**70, 1.0)
        await running.durable()
        with pytest.raises(AuditUnavailable):
            await bad.finish("ok")
        assert (await stored(engine, running)).outcome == "running"
        assert await program(engine, ADA, bad.id) is None


async def test_a_source_over_the_cap_is_cut_and_keeps_the_digest_of_the_whole(engine: AsyncEngine) -> None:
    source = "é" * 100
    async with Audit(engine, max_source_bytes=11) as audit:
        log = await audit.begin(ADA, source=source)
        await log.finish("ok")
    found = await stored(engine, log)
    assert (found.source, found.source_bytes) == ("é" * 5, 200)
    assert found.source_sha256 == hashlib.sha256(source.encode()).hexdigest()


async def test_nothing_is_acknowledged_when_the_tables_are_gone_and_work_goes_on_when_they_are_back(
    engine: AsyncEngine,
) -> None:
    async with Audit(engine) as audit:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE audit_programs RENAME TO elsewhere"))
        log = await audit.begin(ADA, source="1")
        with pytest.raises(AuditUnavailable):
            await log.durable()
        with pytest.raises(AuditUnavailable):
            await note(log)
        with pytest.raises(AuditUnavailable):
            await log.finish("ok")
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO audit_programs"))
        await (await audit.begin(ADA, source="2")).finish("ok")
        assert [found.source for found in await recent(engine, ADA)] == ["2"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_connection_that_the_server_ended_is_opened_again(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        await (await audit.begin(ADA, source="1")).finish("ok")
        async with engine.connect() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await (await audit.begin(ADA, source="2")).finish("ok")
    assert [found.source for found in await recent(engine, ADA)] == ["2", "1"]


async def test_the_record_takes_nothing_before_it_is_open_or_after_it_is_closed(engine: AsyncEngine) -> None:
    audit = Audit(engine)
    with pytest.raises(AuditUnavailable):
        await audit.begin(ADA, source="1")
    async with audit:
        log = await audit.begin(ADA, source="1")
        await log.finish("ok")
    with pytest.raises(AuditUnavailable):
        await audit.begin(ADA, source="1")
    with pytest.raises(AuditUnavailable):
        await note(log)


async def test_nobody_waits_for_a_writer_that_is_gone(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        [writer] = [task for task in asyncio.all_tasks() if task.get_name() == "audit-writer"]
        log = await audit.begin(ADA, source="1")
        writer.cancel()
        with pytest.raises(AuditUnavailable):
            await log.finish("ok")
        with pytest.raises(AuditUnavailable):
            await audit.begin(ADA, source="2")


async def test_the_record_does_not_open_without_its_tables(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(AuditUnavailable):
        async with Audit(engine):
            pass
    await engine.dispose()


async def test_a_program_still_running_at_an_orderly_stop_is_interrupted(engine: AsyncEngine) -> None:
    async with Audit(engine) as audit:
        log = await audit.begin(ADA, source="1")
        await note(log)
    found = await stored(engine, log)
    assert (found.outcome, found.calls[0].outcome) == ("interrupted", "interrupted")
    async with engine.connect() as connection:
        assert (await connection.execute(select(audit_instances))).all() == []


async def left_running(engine: AsyncEngine, program_id: str, instance: str) -> None:
    row = {column.name: None if column.nullable else "" for column in audit_programs.c} | {
        "id": program_id,
        "instance": instance,
    }
    row |= {"issuer": ADA.issuer, "subject": ADA.subject, "outcome": "running"}
    numbers: dict[str, Any] = {"source_bytes": 0, "started_ms": 0, "result_bytes": None, "elapsed_ms": None}
    async with engine.begin() as connection:
        await connection.execute(insert(audit_programs).values(row | numbers))


async def test_a_replica_closes_what_a_silent_one_left_and_not_what_a_living_one_runs(engine: AsyncEngine) -> None:
    now_ms = 1_700_000_000_000
    await beat(engine, "silent", now_ms - STALE_MS - 1)
    await left_running(engine, "a" * 32, "silent")
    await beat(engine, "living", now_ms - STALE_MS)
    await left_running(engine, "b" * 32, "living")
    await left_running(engine, "c" * 32, "never-seen")
    async with Audit(engine, now_ms=lambda: now_ms):
        outcomes = {found.id[0]: found.outcome for found in await recent(engine, ADA)}
    assert outcomes == {"a": "interrupted", "b": "running", "c": "interrupted"}


async def test_a_replica_with_a_name_closes_what_its_former_life_left_at_once(engine: AsyncEngine) -> None:
    now_ms = 1_700_000_000_000
    await beat(engine, "portal-0", now_ms)
    await left_running(engine, "a" * 32, "portal-0")
    async with Audit(engine, instance="portal-0", now_ms=lambda: now_ms):
        assert [found.outcome for found in await recent(engine, ADA)] == ["interrupted"]


async def test_the_end_that_a_paused_replica_writes_late_stands(engine: AsyncEngine) -> None:
    async with Audit(engine, instance="paused", now_ms=lambda: 0) as paused:
        log = await paused.begin(ADA, source="1")
        await log.durable()
        async with Audit(engine, now_ms=lambda: STALE_MS + 1):
            assert (await stored(engine, log)).outcome == "interrupted"
        await log.finish("ok")
    assert (await stored(engine, log)).outcome == "ok"


KILLED = """
import asyncio, sys
from portal.audit.audit import Audit
from portal.store.database import open_database
from shared_auth.principal import Principal

ADA = Principal("https://id.example", "ada", "agent-1")

async def program(audit: Audit) -> None:
    while True:
        log = await audit.begin(ADA, source="1")
        call = await log.call("gitlab", "close", "write", "allow", (), argument_names=(), arguments_sha256="",
                              argument_bytes=0)
        await call.durable()
        print("call", log.id, flush=True)
        call.finish("ok", 1, 1.0)
        await log.finish("ok")
        print("program", log.id, flush=True)

async def main() -> None:
    async with Audit(open_database(sys.argv[1])) as audit:
        await asyncio.gather(*(program(audit) for _ in range(8)))

asyncio.run(main())
"""


async def test_a_process_that_is_killed_loses_nothing_that_it_acknowledged(url: str, engine: AsyncEngine) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url], cwd=ROOT, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout:
        said = [process.stdout.readline() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        # What it said between our last line and its death was acknowledged too.
        said += [line for line in process.stdout if line.endswith("\n")]
    assert process.wait() == -signal.SIGKILL
    async with engine.connect() as connection:
        calls = set((await connection.scalars(select(audit_calls.c.program_id))).all())
        done = await connection.scalars(select(audit_programs.c.id).where(audit_programs.c.outcome == "ok"))
        programs = set(done.all())
    assert {line.split()[1] for line in said if line.startswith("call")} <= calls
    assert {line.split()[1] for line in said if line.startswith("program")} <= programs
    assert len(programs) >= 90
