"""A paused program's row: one program has one row, however often it is paused, and only one process goes on with it.

They run inside the caller's transaction, with what else must be true at the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portal.store.tables import audit_calls, audit_programs

PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Before:
    """What the record says of a program that goes on: its source, how many calls it noted, how long it ran."""

    program_id: str
    source: str
    calls: int
    elapsed_ms: float


async def take_up(connection: AsyncConnection, program_id: str, instance: str) -> Before | None:
    """Let the program run in ``instance`` from now; None, with nothing changed, when it is not paused."""
    mine = update(audit_programs).where(audit_programs.c.id == program_id, audit_programs.c.outcome == PAUSED)
    row = (
        await connection.execute(
            mine.values(outcome="running", instance=instance).returning(
                audit_programs.c.source, audit_programs.c.elapsed_ms
            )
        )
    ).first()
    if row is None:
        return None
    calls = await connection.scalar(
        select(func.max(audit_calls.c.position)).where(audit_calls.c.program_id == program_id)
    )
    return Before(program_id, row.source, 0 if calls is None else calls + 1, row.elapsed_ms or 0.0)


async def lay_down(connection: AsyncConnection, program_id: str) -> None:
    """Let a program that was taken up be paused again: nothing of it has run since."""
    taken = update(audit_programs).where(audit_programs.c.id == program_id, audit_programs.c.outcome == "running")
    await connection.execute(taken.values(outcome=PAUSED))


async def close(connection: AsyncConnection, program_ids: Sequence[str], outcome: str) -> None:
    """Record that paused programs do not go on any more."""
    paused = update(audit_programs).where(audit_programs.c.id.in_(program_ids), audit_programs.c.outcome == PAUSED)
    await connection.execute(paused.values(outcome=outcome))
