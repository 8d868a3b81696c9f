"""Reads the record back, for the person whose programs they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.store.tables import audit_calls, audit_programs
from shared_auth.principal import Principal

MAX_PROGRAMS = 200


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as recorded. ``outcome`` is ``running`` until it ended, ``interrupted`` when nobody saw it end."""

    server: str
    tool: str
    effect: str
    decision: str
    policy_ids: tuple[str, ...]
    argument_names: tuple[str, ...]
    arguments_sha256: str
    argument_bytes: int
    started_ms: int
    outcome: str
    result_bytes: int | None
    elapsed_ms: float | None


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """One program as recorded. ``calls`` is empty in listings."""

    id: str
    kind: str
    client_id: str
    client_name: str
    source: str
    source_sha256: str
    source_bytes: int
    started_ms: int
    outcome: str
    detail: str
    result_bytes: int | None
    elapsed_ms: float | None
    calls: tuple[CallRecord, ...] = ()


_PROGRAM = tuple(audit_programs.c[name] for name in ProgramRecord.__dataclass_fields__ if name != "calls")
_CALL = tuple(audit_calls.c[name] for name in CallRecord.__dataclass_fields__)


async def recent(
    engine: AsyncEngine, principal: Principal, *, limit: int = 50, before: str | None = None
) -> list[ProgramRecord]:
    """Return the person's programs through any client, newest first; ``before`` is the last id of the page before."""
    wanted = select(*_PROGRAM).where(*_whose(principal))
    if before is not None:
        wanted = wanted.where(audit_programs.c.id < before)
    wanted = wanted.order_by(audit_programs.c.id.desc()).limit(max(1, min(limit, MAX_PROGRAMS)))
    async with engine.connect() as connection:
        return [ProgramRecord(**row._mapping) for row in await connection.execute(wanted)]  # noqa: SLF001 - public API


async def program(engine: AsyncEngine, principal: Principal, program_id: str) -> ProgramRecord | None:
    """Return one program of the person with its calls in order; None when there is none, or it is another's."""
    wanted = select(*_PROGRAM).where(*_whose(principal), audit_programs.c.id == program_id)
    async with engine.connect() as connection:
        found = (await connection.execute(wanted)).one_or_none()
        if found is None:
            return None
        return ProgramRecord(**found._mapping, calls=await _calls(connection, program_id))  # noqa: SLF001 - public API


async def _calls(connection: AsyncConnection, program_id: str) -> tuple[CallRecord, ...]:
    wanted = select(*_CALL).where(audit_calls.c.program_id == program_id).order_by(audit_calls.c.position)
    return tuple(_call(row) for row in await connection.execute(wanted))


def _call(row: Row[Any]) -> CallRecord:
    values = dict(row._mapping)  # noqa: SLF001 - public API
    values["policy_ids"] = tuple(json.loads(values["policy_ids"]))
    values["argument_names"] = tuple(json.loads(values["argument_names"]))
    return CallRecord(**values)


def _whose(principal: Principal) -> tuple[Any, Any]:
    return audit_programs.c.issuer == principal.issuer, audit_programs.c.subject == principal.subject
