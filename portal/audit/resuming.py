"""A paused program's row: one program has one row, however often it is paused, and only one process goes on with it.

They run inside the caller's transaction, with what else must be true at the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portal.audit.chain import PAUSED, RUNNING, call_digest
from portal.store.tables import audit_calls, audit_programs


@dataclass(frozen=True, slots=True)
class Before:
    """What the record says of a program that goes on: its row, and the digest of each of its calls so far."""

    program: Mapping[str, Any]
    calls: Mapping[int, bytes]

    @property
    def source(self) -> str:
        """The program as it was submitted."""
        source: str = self.program["source"]
        return source

    @property
    def program_id(self) -> str:
        """The program's name on the record."""
        program_id: str = self.program["id"]
        return program_id


async def take_up(connection: AsyncConnection, program_id: str, instance: str) -> Before | None:
    """Let the program run in ``instance`` from now; None, with nothing changed, when it is not paused."""
    mine = update(audit_programs).where(audit_programs.c.id == program_id, audit_programs.c.outcome == PAUSED)
    row = (await connection.execute(mine.values(outcome=RUNNING, instance=instance).returning(audit_programs))).first()
    if row is None:
        return None
    calls = await connection.execute(select(audit_calls).where(audit_calls.c.program_id == program_id))
    found = [dict(call._mapping) for call in calls]  # noqa: SLF001 - public API
    return Before(dict(row._mapping), {call["position"]: call_digest(call) for call in found})  # noqa: SLF001 - as above


async def lay_down(connection: AsyncConnection, program_id: str) -> None:
    """Let a program that was taken up be paused again: nothing of it has run since."""
    taken = update(audit_programs).where(audit_programs.c.id == program_id, audit_programs.c.outcome == RUNNING)
    await connection.execute(taken.values(outcome=PAUSED))


async def close(connection: AsyncConnection, program_ids: Sequence[str], outcome: str) -> None:
    """Record that paused programs do not go on any more."""
    paused = update(audit_programs).where(audit_programs.c.id.in_(program_ids), audit_programs.c.outcome == PAUSED)
    await connection.execute(paused.values(outcome=outcome))
