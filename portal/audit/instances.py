"""Which portal processes are alive, and what the dead ones left running.

Each process beats; a program that its process left behind is marked interrupted by whichever process sees it first.
Should that process live after all (it was paused), the end that it writes later stands: the truth wins.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.store.tables import audit_calls, audit_instances, audit_programs

BEAT_S = 10.0
# Much longer than a beat: replicas compare one another's clocks.
STALE_MS = 60_000


async def beat(engine: AsyncEngine, instance: str, now_ms: int) -> None:
    """Say that ``instance`` lives, and close what dead processes left open. Raises SQLAlchemyError."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    seen = dialect.insert(audit_instances).values(id=instance, started_ms=now_ms, seen_ms=now_ms)
    async with engine.begin() as connection:
        await connection.execute(seen.on_conflict_do_update(index_elements=["id"], set_={"seen_ms": now_ms}))
        alive = audit_instances.c.seen_ms >= now_ms - STALE_MS
        live = select(audit_instances.c.id).where(alive)
        await _interrupt(connection, audit_programs.c.instance.not_in(live))
        await connection.execute(delete(audit_instances).where(~alive))


async def interrupt(engine: AsyncEngine, instance: str) -> None:
    """Mark what ``instance`` left running: it is not running any more. Raises SQLAlchemyError."""
    async with engine.begin() as connection:
        await _interrupt(connection, audit_programs.c.instance == instance)


async def leave(engine: AsyncEngine, instance: str) -> None:
    """Forget ``instance``, which has stopped in order. Raises SQLAlchemyError."""
    async with engine.begin() as connection:
        await _interrupt(connection, audit_programs.c.instance == instance)
        await connection.execute(delete(audit_instances).where(audit_instances.c.id == instance))


async def _interrupt(connection: AsyncConnection, whose: Any) -> None:
    left = update(audit_programs).where(audit_programs.c.outcome == "running", whose)
    ids = (await connection.scalars(left.values(outcome="interrupted").returning(audit_programs.c.id))).all()
    if ids:
        open_calls = update(audit_calls).where(audit_calls.c.outcome == "running", audit_calls.c.program_id.in_(ids))
        await connection.execute(open_calls.values(outcome="interrupted"))
