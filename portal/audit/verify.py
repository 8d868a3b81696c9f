"""Walks every chain of the record and names the first break of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.audit.chain import GENESIS, Link, call_digest, link
from portal.store.tables import audit_anchors, audit_calls, audit_programs

PAGE = 200


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain as it was found. ``fault`` is its first break, "" for a whole one; ``head`` is where it ends."""

    instance: str
    programs: int
    head: Link
    fault: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``unchained`` counts programs that have no place: recorded before there were chains, running,
    paused, or ended by nobody (interrupted; expired or revoked while paused).
    """

    chains: tuple[Chain, ...]
    unchained: int

    @property
    def whole(self) -> bool:
        """Whether no chain is broken."""
        return not any(chain.fault for chain in self.chains)


async def verify(engine: AsyncEngine) -> Verdict:
    """Return what the record's digests say, as of one moment. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        # One snapshot: programs go on ending, and old ones being pruned, while this reads.
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("BEGIN")
        else:
            await connection.execution_options(isolation_level="REPEATABLE READ")
        places = audit_programs.c.sequence
        found = select(audit_programs.c.instance).where(places.is_not(None)).distinct()
        instances = {*await connection.scalars(found), *await connection.scalars(select(audit_anchors.c.instance))}
        chains = [await _walk(connection, instance) for instance in sorted(instances)]
        unchained = await connection.scalar(select(func.count()).select_from(audit_programs).where(places.is_(None)))
    return Verdict(tuple(chains), unchained or 0)


async def _walk(connection: AsyncConnection, instance: str) -> Chain:
    anchor = select(audit_anchors.c.sequence, audit_anchors.c.digest).where(audit_anchors.c.instance == instance)
    begun = (await connection.execute(anchor)).first()
    head = GENESIS if begun is None else Link(*begun)
    programs = 0
    async for row, calls in _programs(connection, instance, head.sequence):
        programs += 1
        if row["sequence"] != head.sequence + 1:
            fault = f"between {head.sequence} and {row['sequence']}, before program {row['id']}: a program is missing"
            return Chain(instance, programs, head, fault)
        after = link(head, row, calls)
        if after.digest != row["digest"]:
            fault = f"at {after.sequence}, program {row['id']}: it, a call of it, or the program before it was changed"
            return Chain(instance, programs, head, fault)
        head = after
    return Chain(instance, programs, head, "")


async def _programs(
    connection: AsyncConnection, instance: str, after: int
) -> AsyncIterator[tuple[dict[str, object], list[bytes]]]:
    """Yield the programs of a chain in order, each with the digests of its calls."""
    mine = audit_programs.c.instance == instance
    while True:
        page = select(audit_programs).where(mine, audit_programs.c.sequence > after)
        page = page.order_by(audit_programs.c.sequence, audit_programs.c.id).limit(PAGE)
        rows = [dict(row._mapping) for row in await connection.execute(page)]  # noqa: SLF001 - public API
        if not rows:
            return
        ids = [row["id"] for row in rows]
        wanted = select(audit_calls).where(audit_calls.c.program_id.in_(ids))
        wanted = wanted.order_by(audit_calls.c.program_id, audit_calls.c.position)
        calls: dict[str, list[bytes]] = {}
        for call in await connection.execute(wanted):
            found = dict(call._mapping)  # noqa: SLF001 - public API
            calls.setdefault(found["program_id"], []).append(call_digest(found))
        for row in rows:
            yield row, calls.get(row["id"], [])
        after = rows[-1]["sequence"]
