"""The record: one row per program and one per call, who asked, what was decided, how it ended.

Beginning a program and noting a call only queue; ``durable`` waits for the disk. A write is sent, and a reply is given,
only after that. Arguments are kept as a digest, results as a size: no secret of theirs can be in the record.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.chain import Chained
from portal.audit.instances import BEAT_S, beat, interrupt, leave
from portal.audit.resuming import Before
from portal.audit.writer import AuditUnavailable, Batch, Fate, Row, Writer
from shared_auth.principal import Principal

__all__ = ["Audit", "AuditUnavailable", "CallEntry", "ProgramLog"]

MAX_NAME_CHARS = 200
MAX_DETAIL_CHARS = 500
MAX_NAMES = 64

log = structlog.get_logger(__name__)


class CallEntry:
    """One call on the record."""

    def __init__(self, writer: Writer, row: Row) -> None:
        self._writer = writer
        self._row = row

    async def durable(self) -> None:
        """Return once the call is on disk, and its program with it. Raises AuditUnavailable."""
        await self._row.durable()

    def finish(self, outcome: str, result_bytes: int | None, elapsed_ms: float) -> None:
        """Queue how the call ended; durable with the program's end at the latest. Raises AuditUnavailable."""
        ended = {"outcome": _plain(outcome, 32), "result_bytes": result_bytes, "elapsed_ms": round(elapsed_ms, 3)}
        values = self._row.values
        if not self._row.batch.taken:
            values.update(ended)
            return
        key = {"key_program_id": values["program_id"], "key_position": values["position"]}
        changes = key | {f"new_{name}": value for name, value in ended.items()}
        # Nobody waits for it by itself: the program's end takes it along.
        self._writer.add("call_end", changes, self._row.fate, whole=values | ended, patient=True)


class ProgramLog:
    """One program on the record. ``id`` names it."""

    def __init__(self, writer: Writer, row: Row, started_s: float, now_ms: Callable[[], int], calls: int = 0) -> None:
        self.id: str = row.values["id"]
        self._writer = writer
        self._row = row
        self._started_s = started_s
        self._now_ms = now_ms
        self._calls = calls
        self._end: Row | None = None

    async def durable(self) -> None:
        """Return once the program's beginning is on disk. Raises AuditUnavailable."""
        await self._row.durable()

    async def call(
        self,
        server: str,
        tool: str,
        effect: str,
        decision: str,
        policy_ids: Sequence[str],
        *,
        argument_names: Sequence[str],
        arguments_sha256: str,
        argument_bytes: int,
        outcome: str = "running",
    ) -> CallEntry:
        """Queue a call's row and return without waiting for the disk, unless the database is far behind.

        ``outcome`` is given for a call that is not sent. Await ``CallEntry.durable`` before a write is sent.
        Raises AuditUnavailable.
        """
        await self._writer.room()
        position, self._calls = self._calls, self._calls + 1
        values = {
            "program_id": self.id,
            "position": position,
            "server": _plain(server, MAX_NAME_CHARS),
            "tool": _plain(tool, MAX_NAME_CHARS),
            "effect": _plain(effect, 16),
            "decision": _plain(decision, 16),
            "policy_ids": _names(tuple(policy_ids)),
            "argument_names": _names(tuple(argument_names)),
            "arguments_sha256": arguments_sha256,
            "argument_bytes": argument_bytes,
            "started_ms": self._now_ms(),
            "outcome": _plain(outcome, 32),
            "result_bytes": None,
            "elapsed_ms": None,
        }
        # A read is sent before its row is on disk anyway; one that ends meanwhile costs one row and no change of it.
        return CallEntry(self._writer, self._writer.add("call", values, self._row.fate, patient=effect == "read"))

    async def finish(self, outcome: str, *, detail: str = "", result_bytes: int | None = None) -> None:
        """Return once the program's whole record is on disk; the first outcome stands. Raises AuditUnavailable.

        The end is queued before anything is awaited, so that a caller who is cancelled here has still recorded it.
        """
        if self._end is None:
            ended = {
                "outcome": _plain(outcome, 32),
                "detail": _plain(detail, MAX_DETAIL_CHARS),
                "result_bytes": result_bytes,
                "elapsed_ms": round((time.monotonic() - self._started_s) * 1e3, 3),
            }
            if self._row.batch.taken:
                changes = {f"new_{name}": value for name, value in ended.items()}
                whole = self._row.values | ended
                self._end = self._writer.add("program_end", {"key_id": self.id} | changes, self._row.fate, whole=whole)
            else:
                self._row.values.update(ended)
                self._end = self._row
        await self._end.durable()


class Audit:
    """Keeps the record; an async context manager. ``instance`` names this process among the replicas: give it when
    the name outlives a restart, so that what was left running is closed at once and not a minute later.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        instance: str | None = None,
        max_source_bytes: int = 1_048_576,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._engine = engine
        self._named = instance is not None
        self._instance = _plain(instance or secrets.token_hex(8), 64)
        self._max_source_bytes = max_source_bytes
        self._now_ms = now_ms
        self._writer: Writer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Close what is left of dead processes, then accept programs. Raises AuditUnavailable."""
        try:
            if self._named:
                await interrupt(self._engine, self._instance)
            await beat(self._engine, self._instance, self._now_ms())
        except SQLAlchemyError as error:
            raise AuditUnavailable(f"the record cannot be opened ({type(error).__name__})") from None
        self._writer = Writer(self._engine, self._instance)
        self._tasks = [
            self._writer.start(),
            asyncio.create_task(self._beat(), name="audit-beat"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is queued, and mark what has no end as interrupted."""
        _, beating = self._tasks
        beating.cancel()
        if self._writer is not None:
            self._writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await leave(self._engine, self._instance)
        except SQLAlchemyError as failed:
            # Another process, or the next start, marks the rest: this one's beat has stopped.
            log.warning("audit.leave_failed", error=type(failed).__name__)

    async def begin(self, principal: Principal, *, source: str, kind: str = "execute") -> ProgramLog:
        """Queue a program's row and return without waiting for the disk, unless the database is far behind.

        ``source`` is kept up to ``max_source_bytes``; its digest and size are those of the whole. Raises
        AuditUnavailable.
        """
        writer = self._writer
        if writer is None:
            raise AuditUnavailable("the record is not open")
        await writer.room()
        code = source.encode("utf-8", "backslashreplace")
        now_ms = self._now_ms()
        values = {
            # Ordered by time, so that a page of programs is a range of the index; the rest cannot be guessed.
            "id": f"{now_ms:012x}{secrets.token_hex(10)}",
            "instance": self._instance,
            "kind": _plain(kind, 32),
            "issuer": _plain(principal.issuer, 2_000),
            "subject": _plain(principal.subject, 2_000),
            "client_id": _plain(principal.client_id, 2_000),
            "client_name": _plain(principal.client_name, MAX_NAME_CHARS),
            "grant_id": _plain(principal.grant_id, MAX_NAME_CHARS),
            "source": _plain(code[: self._max_source_bytes].decode("utf-8", "ignore"), self._max_source_bytes),
            "source_sha256": hashlib.sha256(code).hexdigest(),
            "source_bytes": len(code),
            "started_ms": now_ms,
            "outcome": "running",
            "detail": "",
            "result_bytes": None,
            "elapsed_ms": None,
            "sequence": None,
            "digest": None,
        }
        # A program that has called nothing has done nothing yet: its beginning may wait for its first call or its end.
        row = writer.add("program", values, Fate(), patient=True)
        return ProgramLog(writer, row, time.monotonic(), self._now_ms)

    @property
    def instance(self) -> str:
        """The name of this process on the record."""
        return self._instance

    def resumed(self, before: Before) -> ProgramLog:
        """Go on with the record of a paused program that ``take_up`` gave to this process. Raises AuditUnavailable."""
        writer = self._writer
        if writer is None:
            raise AuditUnavailable("the record is not open")
        on_disk = Batch(hurry=lambda: None, taken=True)
        on_disk.settled.set()
        values = dict(before.program)
        row = Row("program", values, Fate(chained=Chained(dict(before.calls))), on_disk, values)
        begun_s = time.monotonic() - (values["elapsed_ms"] or 0.0) / 1e3
        return ProgramLog(writer, row, begun_s, self._now_ms, max(before.calls, default=-1) + 1)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await beat(self._engine, self._instance, self._now_ms())
            except SQLAlchemyError as error:
                log.warning("audit.beat_failed", error=type(error).__name__)


def _plain(value: str, max_chars: int) -> str:
    """Return text that every database stores: lone surrogates and NUL are written as escapes."""
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode()
    return value.replace("\x00", "\\x00")[:max_chars]


@lru_cache(maxsize=256)
def _names(names: tuple[str, ...]) -> str:
    return json.dumps([_plain(name, MAX_NAME_CHARS) for name in names[:MAX_NAMES]], ensure_ascii=False)
