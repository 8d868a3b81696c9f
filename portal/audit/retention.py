"""How long the record is kept: what is older goes, every hour, in short transactions.

A chain is pruned from its beginning, and an anchor keeps the last digest that went, so that the rest can be verified. A
program that runs or is paused is never pruned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.audit.chain import GENESIS, PAUSED, RUNNING, Link, head_of
from portal.background import beside
from portal.store.tables import audit_anchors, audit_calls, audit_instances, audit_programs, paused_programs

EVERY_S = 3_600.0
BATCH = 200
PAUSE_S = 0.05
"""Between two batches, so that the record's writer is never long behind."""

DAY_MS = 86_400_000

log = structlog.get_logger(__name__)


@asynccontextmanager
async def keeping(engine: AsyncEngine, keep_days: int) -> AsyncIterator[None]:
    """Prune now and every hour until left; write where each chain ends to the log, which is out of the database."""

    async def work() -> None:
        while True:
            try:
                pruned = await prune(engine, time.time_ns() // 1_000_000 - keep_days * DAY_MS)
                if pruned:
                    log.info("audit.pruned", programs=pruned)
                for instance, head in (await heads(engine)).items():
                    log.info("audit.head", instance=instance, sequence=head.sequence, digest=head.digest)
            except SQLAlchemyError as error:
                log.warning("audit.prune_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async with beside(work(), "audit-retention"):
        yield


async def prune(engine: AsyncEngine, before_ms: int) -> int:
    """Delete programs that began before ``before_ms``, and their calls. Return how many. Raises SQLAlchemyError.

    In a chain one may outlive its time by as much as a later one, which ended before it, is younger.
    """
    # Ids begin with the time.
    oldest = f"{max(before_ms, 0):012x}"
    pruned = 0
    async with engine.connect() as connection:
        places = audit_programs.c.sequence
        chained = select(audit_programs.c.instance).where(places.is_not(None), audit_programs.c.id < oldest).distinct()
        instances = (await connection.scalars(chained)).all()
    for instance in instances:
        while gone := await _prune_chain(engine, instance, oldest):
            pruned += gone
            await asyncio.sleep(PAUSE_S)
    while gone := await _prune_unchained(engine, oldest):
        pruned += gone
        await asyncio.sleep(PAUSE_S)
    await _forget_anchors(engine)
    return pruned


async def heads(engine: AsyncEngine) -> dict[str, Link]:
    """Return where the chain of every process that lives ends, if it has begun. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        alive = (await connection.scalars(select(audit_instances.c.id))).all()
        found = {instance: await connection.run_sync(head_of, instance) for instance in alive}
    return {instance: head for instance, head in found.items() if head != GENESIS}


async def _prune_chain(engine: AsyncEngine, instance: str, oldest: str) -> int:
    columns = (audit_programs.c.id, audit_programs.c.sequence, audit_programs.c.digest)
    first = select(*columns).where(audit_programs.c.instance == instance, audit_programs.c.sequence.is_not(None))
    async with engine.begin() as connection:
        rows = (await connection.execute(first.order_by(audit_programs.c.sequence).limit(BATCH))).all()
        gone = []
        for row in rows:
            if row.id >= oldest:
                break
            gone.append(row)
        if not gone:
            return 0
        await _delete(connection, [row.id for row in gone])
        dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
        anchor = dialect.insert(audit_anchors).values(
            instance=instance, sequence=gone[-1].sequence, digest=gone[-1].digest
        )
        new = {"sequence": anchor.excluded.sequence, "digest": anchor.excluded.digest}
        # Another replica may prune the same chain: the anchor only moves forward.
        further = anchor.excluded.sequence > audit_anchors.c.sequence
        await connection.execute(anchor.on_conflict_do_update(index_elements=["instance"], set_=new, where=further))
    return len(gone)


async def _prune_unchained(engine: AsyncEngine, oldest: str) -> int:
    wanted = (
        select(audit_programs.c.id)
        .where(
            audit_programs.c.id < oldest,
            audit_programs.c.sequence.is_(None),
            audit_programs.c.outcome.not_in((RUNNING, PAUSED)),
        )
        .limit(BATCH)
    )
    async with engine.begin() as connection:
        gone = (await connection.scalars(wanted)).all()
        await _delete(connection, list(gone))
    return len(gone)


async def _forget_anchors(engine: AsyncEngine) -> None:
    """Forget the anchors of dead processes of which nothing is left: nothing will be verified from there."""
    left = select(audit_programs.c.instance).where(audit_programs.c.sequence.is_not(None))
    alive = select(audit_instances.c.id)
    async with engine.begin() as connection:
        await connection.execute(
            delete(audit_anchors).where(
                audit_anchors.c.instance.not_in(left.distinct()), audit_anchors.c.instance.not_in(alive)
            )
        )


async def _delete(connection: AsyncConnection, ids: list[str]) -> None:
    if ids:
        await connection.execute(delete(paused_programs).where(paused_programs.c.program_id.in_(ids)))
        await connection.execute(delete(audit_calls).where(audit_calls.c.program_id.in_(ids)))
        await connection.execute(delete(audit_programs).where(audit_programs.c.id.in_(ids)))
