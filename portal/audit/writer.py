"""Writes the record in groups: whatever is queued while one commit runs shares the next one.

One thread owns one connection, so the event loop never waits for a disk, and a row is durable exactly when the commit
that holds it has returned. A program whose rows cannot be written is lost as a whole: nothing more of it is recorded,
and whoever waits for it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from sqlalchemy import Engine, PoolProxiedConnection, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.chain import PAUSED, RUNNING, Chained, Link, head_of, link
from portal.store.database import open_beside
from portal.store.tables import audit_calls, audit_programs

MAX_QUEUED_ROWS = 20_000
PATIENCE_S = 0.02
"""How long a row that nobody waits for may wait for company, so that a short program costs one commit and not two."""

Operation = Literal["program", "call", "call_end", "program_end"]
# Programs before their calls (foreign key), beginnings before their ends.
_ORDER: tuple[Operation, ...] = ("program", "call", "call_end", "program_end")

log = structlog.get_logger(__name__)


class AuditUnavailable(Exception):
    """The record could not be written. What it stands for must not happen, or must be reported as failed."""


@dataclass(slots=True, eq=False)
class Fate:
    """What became of one program's record; shared by all of its rows."""

    lost: bool = False
    chained: Chained = field(default_factory=Chained)


@dataclass(slots=True, eq=False, repr=False)
class Batch:
    """The rows of one commit. Rows may be changed in place until it is ``taken``."""

    hurry: Callable[[], None]
    rows: list[Row] = field(default_factory=list)
    taken: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False, repr=False)
class Row:
    """One change, the batch that carries it, and the program that it belongs to. ``whole`` is the row as it then is."""

    operation: Operation
    values: dict[str, Any]
    fate: Fate
    batch: Batch
    whole: dict[str, Any]

    async def durable(self) -> None:
        """Return once the row is on disk. Raises AuditUnavailable when it is not going to be."""
        self.batch.hurry()
        await self.batch.settled.wait()
        if self.fate.lost:
            raise AuditUnavailable("the record cannot be written")


class Writer:
    """The only writer of the record in this process."""

    def __init__(self, engine: AsyncEngine, instance: str) -> None:
        self._engine = open_beside(engine)
        self._connection: PoolProxiedConnection | None = None
        self._dbapi: Any = self._engine.dialect.loaded_dbapi
        # The driver's own words for a connection that has died, and SQLAlchemy's: it opens them, and finds the head.
        self._gone = (self._dbapi.OperationalError, self._dbapi.InterfaceError, OperationalError, InterfaceError)
        self._instance = instance
        # Where this process's chain ends; None: the database knows. Only the thread reads and sets it.
        self._head: Link | None = None
        dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
        # A commit whose answer was lost is tried again: rows that it did write are then no error.
        statements: dict[Operation, Any] = {
            "program": dialect.insert(audit_programs).on_conflict_do_nothing(),
            "call": dialect.insert(audit_calls).on_conflict_do_nothing(),
            "call_end": _end(audit_calls, audit_calls.c.program_id, audit_calls.c.position),
            "program_end": _end(audit_programs, audit_programs.c.id, extra=("detail", "sequence", "digest")),
        }
        self._statements = {name: _Ready.of(made, self._engine) for name, made in statements.items()}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._wake = asyncio.Event()
        self._pending = Batch(self._wake.set)
        self._writing = self._pending
        self._timer: asyncio.TimerHandle | None = None
        self._open = True

    def add(
        self,
        operation: Operation,
        values: dict[str, Any],
        fate: Fate,
        *,
        whole: dict[str, Any] | None = None,
        patient: bool = False,
    ) -> Row:
        """Queue a change and return at once. Raises AuditUnavailable when the program's record is already lost.

        It goes into the next commit, which begins at once, or for the sake of a ``patient`` row PATIENCE_S later.
        ``whole`` is the row with the change; a row that is new is itself.
        """
        if fate.lost or not self._open:
            raise AuditUnavailable("the record cannot be written")
        row = Row(operation, values, fate, self._pending, values if whole is None else whole)
        self._pending.rows.append(row)
        if not patient:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._wake.set)
        return row

    async def room(self) -> None:
        """Return at once unless the database is far behind; then wait for it."""
        while len(self._pending.rows) >= MAX_QUEUED_ROWS:
            self._wake.set()
            await self._pending.settled.wait()

    def start(self) -> asyncio.Task[None]:
        """Return the task that writes until ``close``, and whatever is queued by then."""
        task = asyncio.create_task(self._run(), name="audit-writer")
        task.add_done_callback(self._stopped)
        return task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._open or self._pending.rows:
            await self._wake.wait()
            self._wake.clear()
            self._cancel_timer()
            batch = self._writing = self._pending
            self._pending = Batch(self._wake.set)
            batch.taken = True
            rows = [row for row in batch.rows if not row.fate.lost]
            if rows:
                await loop.run_in_executor(self._thread, self._write, rows)
            batch.settled.set()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stopped(self, _task: asyncio.Task[None]) -> None:
        self._open = False
        self._cancel_timer()
        # There are rows left only when the task was cancelled, even before its first step: nobody may wait for them.
        for batch in (self._writing, self._pending):
            if not batch.settled.is_set():
                for row in batch.rows:
                    row.fate.lost = True
                batch.settled.set()
        self._thread.submit(self._let_go)
        self._thread.submit(self._engine.dispose)
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Take no more rows; the task ends when those that are queued are written."""
        self._open = False
        self._wake.set()

    def _write(self, rows: Sequence[Row]) -> None:
        """Write the rows in one commit. Runs in the thread."""
        try:
            try:
                self._commit(rows)
            except self._gone:
                # The connection may have died since the last commit (a restarted server): one fresh one is tried.
                with contextlib.suppress(SQLAlchemyError):
                    self._engine.dispose()
                self._commit(rows)
        except self._gone as error:
            self._head = None
            _lose(rows, error)
        except Exception:  # noqa: BLE001 - the boundary to the database: some value is at fault; whose is found out
            self._write_apart(rows)

    def _write_apart(self, rows: Sequence[Row]) -> None:
        """Write one program at a time, so that one that the database refuses does not take the others with it."""
        programs: defaultdict[int, list[Row]] = defaultdict(list)
        for row in rows:
            programs[id(row.fate)].append(row)
        for program in programs.values():
            try:
                self._commit(program)
            except Exception as error:  # noqa: BLE001 - as above: whatever it is, this program was not recorded
                self._head = None
                _lose(program, error)

    def _commit(self, rows: Sequence[Row]) -> None:
        head = self._linked(rows)
        try:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            with contextlib.closing(self._connection.cursor()) as cursor:
                for operation in _ORDER:
                    values = [row.values for row in rows if row.operation == operation]
                    if values:
                        ready = self._statements[operation]
                        cursor.executemany(ready.sql, [ready.parameters(row) for row in values])
            self._connection.commit()
        except BaseException:
            # Whatever it is, also a number that the driver cannot take: nothing of it may go into the next commit.
            self._let_go()
            raise
        self._head = head

    def _let_go(self) -> None:
        """Give the connection back, with nothing of a broken commit on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._dbapi.Error, SQLAlchemyError):
                connection.close()

    def _linked(self, rows: Sequence[Row]) -> Link | None:
        """Give every program that ends here its place in the chain; return where the chain then ends."""
        head = self._head
        ended: list[Row] = []
        for row in rows:
            if row.operation in {"call", "call_end"}:
                row.fate.chained.note(row.whole)
            elif row.whole["outcome"] not in {RUNNING, PAUSED}:
                ended.append(row)
            elif row.operation == "program_end":
                # Paused: it gets its place when it has gone on and ended.
                row.values |= {"new_sequence": None, "new_digest": None}
        for row in ended:
            if head is None:
                self._let_go()  # it is the only one
                with self._engine.connect() as connection:
                    head = head_of(connection, self._instance)
            calls = row.fate.chained.calls
            head = link(head, row.whole, (calls[position] for position in sorted(calls)))
            prefix = "" if row.operation == "program" else "new_"
            row.values |= {f"{prefix}sequence": head.sequence, f"{prefix}digest": head.digest}
        return head


@dataclass(frozen=True, slots=True)
class _Ready:
    """A statement as the driver takes it. Text and numbers go as they are, on the driver's own connection: what
    SQLAlchemy does for a commit, and to each row of an insert by the hundred, is the greater part of its price, while
    somebody waits for a reply and the event loop for the same interpreter lock.
    """

    sql: str
    positions: tuple[str, ...] | None

    @classmethod
    def of(cls, statement: Any, engine: Engine) -> _Ready:
        compiled = statement.compile(engine)
        return cls(str(compiled), None if compiled.positiontup is None else tuple(compiled.positiontup))

    def parameters(self, row: dict[str, Any]) -> Any:
        return row if self.positions is None else tuple([row[name] for name in self.positions])


def _end(table: Any, *keys: Any, extra: tuple[str, ...] = ()) -> Any:
    names = ("outcome", "result_bytes", "elapsed_ms", *extra)
    found = [key == bindparam(f"key_{key.name}") for key in keys]
    return update(table).where(*found).values({name: bindparam(f"new_{name}") for name in names})


def _lose(rows: Iterable[Row], error: Exception) -> None:
    # The type alone: a database error quotes the statement's parameters.
    log.error("audit.not_written", error=type(error).__name__)
    for row in rows:
        row.fate.lost = True
