"""Programs that wait for a person: kept sealed, found again by whom they belong to alone, and gone on with once.

A row is in one state: ``waiting`` → ``approved`` or ``refused`` → ``resumed``; or ``expired``, ``revoked`` or, where it
waited in a process that is gone, ``interrupted``. What a program came to after ``resumed`` is on its record. Every step
is one commit that changes the row only from the state it must be in, so that of two who try at the same moment one
succeeds, on whichever replica.

The id is random but no credential: every look-up asks for its person too, and that of an agent for client and grant.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeVar

import structlog
from sqlalchemy import ColumnElement, and_, func, insert, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.audit.chain import PAUSED
from portal.audit.query import CallRecord, program
from portal.audit.resuming import Before, close, lay_down, take_up
from portal.background import beside
from portal.gate import WAITED
from portal.sandbox.contract import Json, Pause, PendingCall
from portal.sandbox.requests import RUNTIME_VERSION
from portal.store.tables import audit_programs, paused_programs
from shared_auth.connect.connect import page_of
from shared_auth.principal import Principal
from shared_auth.sealing import Seal, Unsealable

FORMAT = f"monty {RUNTIME_VERSION}, 1"
"""What a snapshot was made by; one that was made by anything else is never loaded."""

_HELD = "held by "

SWEEP_S = 60.0
MAX_LISTED = 100
OPEN = ("waiting", "approved", "refused")
MAX_ID_CHARS = 64
_ID_BYTES = 20
_INLINE_BYTES = 262_144
_LOCK = 0x7061_7573

T = TypeVar("T")

log = structlog.get_logger(__name__)

Ended = Callable[[Collection[str]], Awaitable[set[str]]]
"""Returns which of the grants have ended. Raises SQLAlchemyError."""

How = Literal["page", "client"]
"""Where a person has decided: on our page, or in their client, which the operator then believes."""


class TooManyPaused(Exception):
    """The person has as many programs waiting as may wait at once."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose programs they are, whatever the client."""

    issuer: str
    subject: str

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """Return the person of a principal."""
        return cls(principal.issuer, principal.subject)


@dataclass(frozen=True, slots=True)
class Paused:
    """A program that waits, or has waited. ``pending`` is empty once it does not wait any more, or cannot be read.

    ``holder`` is the process that it waits in, "" where a snapshot is kept of it.
    """

    id: str
    program_id: str
    client_name: str
    source: str
    state: str
    outcome: str
    asks: int
    created_ms: int
    expires_ms: int
    pending: tuple[PendingCall, ...]
    holder: str = ""

    @property
    def ready(self) -> bool:
        """Whether it may go on: its person has decided, or there was nothing to decide."""
        return self.state in {"approved", "refused"} or (self.state == "waiting" and not self.asks)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A paused program that this process alone may go on with. ``agreed`` holds the ids of calls that may be made."""

    before: Before
    pause: Pause
    session: dict[str, Json]
    agreed: frozenset[int]
    sealed: tuple[bytes, bytes] = field(repr=False)


class Pauses:
    """All paused programs of one portal; ``site`` is its public address. Every method raises SQLAlchemyError."""

    def __init__(
        self,
        engine: AsyncEngine,
        secret: bytes,
        ended: Ended,
        *,
        site: str,
        life_s: float,
        per_person: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._engine = engine
        self._seal = Seal(hashlib.blake2b(secret, digest_size=32, person=b"portal pauses").digest())
        self._ended = ended
        self._site = site
        self._life_ms = int(life_s * 1_000)
        self._per_person = per_person
        self._now_ms = now_ms

    def address(self, pause_id: str) -> str:
        """Return the page on which the person decides."""
        return f"{self._site}/programs/{pause_id}"

    def connect_address(self, call: PendingCall) -> str:
        """Return the page on which the person connects an account, or grants more of it, for a call that waits."""
        return page_of(self._site, call.module, call.need.get("scopes", ()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Sweep until left."""

        async def sweep() -> None:
            while True:
                try:
                    await self.sweep()
                except SQLAlchemyError as error:
                    log.warning("pauses.not_swept", error=type(error).__name__)
                await asyncio.sleep(SWEEP_S)

        async with beside(sweep(), "pauses"):
            yield self

    async def save(
        self,
        principal: Principal,
        program_id: str,
        pause: Pause,
        session: dict[str, Json],
        *,
        holder: str = "",
        life_s: float | None = None,
    ) -> Paused:
        """Store a paused program. It may go on only once its record says ``paused``, too. Raises TooManyPaused.

        ``holder`` is the process that it waits in, if it does: nobody else may take it. It waits for ``life_s``, else
        for as long as any.
        """
        life_ms = self._life_ms if life_s is None else int(life_s * 1_000)
        pause_id, now_ms = secrets.token_hex(_ID_BYTES), self._now_ms()
        asks = sum(call.need["kind"] == "ask" for call in pause.pending)
        pending = await _aside(_encoded, pause.pending, session, size=sum(call.size_bytes for call in pause.pending))
        values = {
            "id": pause_id,
            "program_id": program_id,
            "issuer": principal.issuer,
            "subject": principal.subject,
            "client_id": principal.client_id,
            "grant_id": principal.grant_id,
            "runtime": _held_by(holder) if holder else FORMAT,
            "asks": asks,
            "state": "waiting",
            "created_ms": now_ms,
            "expires_ms": now_ms + life_ms,
            "agreed": "",
            "decided_how": "",
        }
        values |= {
            "pending": await self._sealed(pending, "pending", values),
            "snapshot": await self._sealed(pause.snapshot, "snapshot", values),
        }
        person = Person.of(principal)
        async with self._engine.begin() as connection:
            await _one_at_a_time(connection, person)
            await connection.execute(insert(paused_programs).values(**values))
            waiting = select(func.count()).where(*_of(person), self._open(now_ms))
            if (await connection.scalar(waiting) or 0) > self._per_person:
                raise TooManyPaused  # and with it the row is gone
        row = {"client_name": principal.client_name, "source": "", "outcome": PAUSED, **values}
        return _paused(row, pause.pending, now_ms)

    async def find(self, principal: Principal, pause_id: str) -> Paused | None:
        """Return what an agent may know: a pause of this very person, client and grant."""
        whose = (*_of(Person.of(principal)), *_through(principal))
        found = await self._select(*whose, _named(pause_id))
        return found[0] if found else None

    async def latest(self, principal: Principal, program_id: str) -> Paused | None:
        """Return the newest pause of a program of this very person, client and grant."""
        whose = (*_of(Person.of(principal)), *_through(principal))
        found = await self._select(*whose, paused_programs.c.program_id == program_id)
        return found[0] if found else None

    async def waiting(self, person: Person) -> list[Paused]:
        """Return what waits for a person, newest first, through any client whose grant lives."""
        await self._end_revoked(and_(*_of(person), self._open(self._now_ms())))
        still = paused_programs.c.state == "waiting", paused_programs.c.expires_ms > self._now_ms()
        return await self._select(*_of(person), *still, audit_programs.c.outcome == PAUSED)

    async def asked(self, person: Person, pause_id: str) -> Paused | None:
        """Return a pause of a person, as their browser may see it."""
        mine = (*_of(person), _named(pause_id))
        await self._end_revoked(and_(*mine, self._open(self._now_ms())))
        found = await self._select(*mine)
        return found[0] if found else None

    async def decide(self, person: Person, pause_id: str, agreed: Collection[int], *, how: How) -> bool:
        """Record what a person has decided, once: which calls may be made. False when there is nothing to decide."""
        now_ms = self._now_ms()
        mine = (*_of(person), _named(pause_id))
        await self._end_revoked(and_(*mine, self._open(now_ms)))
        paused = select(audit_programs.c.id).where(audit_programs.c.outcome == PAUSED)
        undecided = update(paused_programs).where(
            *mine,
            paused_programs.c.state == "waiting",
            paused_programs.c.asks > 0,
            paused_programs.c.expires_ms > now_ms,
            paused_programs.c.program_id.in_(paused),
        )
        values = {
            "state": "approved" if agreed else "refused",
            "agreed": self._text(json.dumps(sorted(agreed)), _decision(person, pause_id)),
            "decided_ms": now_ms,
            "decided_how": how,
        }
        async with self._engine.begin() as connection:
            decided = (await connection.execute(undecided.values(**values))).rowcount == 1
        if decided:
            log.info("pauses.decided", pause=pause_id, subject=person.subject, agreed=len(agreed), how=how)
        return decided

    async def claim(self, principal: Principal, pause_id: str, instance: str) -> Claimed | None:
        """Take a paused program for ``instance``, so that nobody else ever goes on with it; None when it cannot be had.

        From this commit on nothing of it is kept: what happens to it next happens once or not at all. Raises
        Unsealable, and takes nothing, when what was stored was changed or made by another release.
        """
        now_ms = self._now_ms()
        here = or_(~paused_programs.c.runtime.startswith(_HELD), paused_programs.c.runtime == _held_by(instance))
        mine = and_(*_of(Person.of(principal)), *_through(principal), _named(pause_id), here)
        await self._end_revoked(and_(mine, self._open(now_ms)))
        decided = or_(
            paused_programs.c.state.in_(("approved", "refused")),
            and_(paused_programs.c.state == "waiting", paused_programs.c.asks == 0),
        )
        ready = update(paused_programs).where(mine, decided, paused_programs.c.expires_ms > now_ms)
        async with self._engine.connect() as connection, connection.begin() as transaction:
            # The write first: it waits for whoever else is at it, and then sees what they did.
            if (await connection.execute(ready.values(state="resumed", ended_ms=now_ms))).rowcount != 1:
                return None
            row = (await connection.execute(select(paused_programs).where(mine))).one()
            before = await take_up(connection, row.program_id, instance)
            if before is None:
                await transaction.rollback()
                return None
            values = dict(row._mapping)  # noqa: SLF001 - public API
            stored = await self._stored(values)
            snapshot = await self._opened(row.snapshot, "snapshot", values)
            decision = _decision(Person.of(principal), pause_id)
            agreed = json.loads(self._seal.open(_bytes(row.agreed), row=decision)) if row.agreed else []
            await connection.execute(update(paused_programs).where(mine).values(pending=b"", snapshot=b""))
        pause = Pause(snapshot, _calls(stored["calls"]))
        return Claimed(before, pause, stored["session"], frozenset(agreed), (row.pending, row.snapshot))

    async def give_back(self, principal: Principal, paused: Paused, claimed: Claimed) -> None:
        """Let a program wait on that was claimed as ``paused`` says it was, and of which nothing has run since."""
        mine = and_(*_of(Person.of(principal)), *_through(principal), paused_programs.c.id == paused.id)
        taken = update(paused_programs).where(mine, paused_programs.c.state == "resumed")
        pending, snapshot = claimed.sealed
        values = {"state": paused.state, "ended_ms": None, "pending": pending, "snapshot": snapshot}
        async with self._engine.begin() as connection:
            await connection.execute(taken.values(**values))
            await lay_down(connection, claimed.before.program_id)

    async def abandon(self, pause_id: str) -> None:
        """End a program that waited in its process and does not any more, if nobody has taken it."""
        left = and_(_named(pause_id), paused_programs.c.state.in_(OPEN))
        await self._end(and_(left, paused_programs.c.expires_ms <= self._now_ms()), "expired")
        await self._end_revoked(left)
        await self._end(left, "interrupted")

    async def calls(self, principal: Principal, program_id: str) -> tuple[CallRecord, ...]:
        """Return the calls that a program of the principal's person has made, as recorded."""
        found = await program(self._engine, principal, program_id)
        return () if found is None else tuple(call for call in found.calls if call.outcome not in WAITED)

    async def sweep(self) -> None:
        """End what has expired, and what belongs to a grant that has ended, on the record too."""
        now_ms = self._now_ms()
        late = and_(paused_programs.c.state.in_(OPEN), paused_programs.c.expires_ms <= now_ms)
        await self._end(late, "expired")
        await self._end_revoked(self._open(now_ms))

    def state_of(self, principal: Principal, pause_id: str, code: str) -> str:
        """Return what a client carries back to us to go on: sealed, for this principal and this code alone."""
        return self._text(pause_id, _carried(principal, code))

    def id_in(self, principal: Principal, state: str, code: str) -> str:
        """Return the id that ``state_of`` sealed. Raises Unsealable for anything else."""
        return self._seal.open(_bytes(state), row=_carried(principal, code)).decode()

    def _open(self, now_ms: int) -> ColumnElement[bool]:
        return and_(paused_programs.c.state.in_(OPEN), paused_programs.c.expires_ms > now_ms)

    async def _select(self, *where: ColumnElement[bool]) -> list[Paused]:
        columns = [column for column in paused_programs.c if column.name != "snapshot"]
        record = audit_programs.c.client_name, audit_programs.c.source, audit_programs.c.outcome
        wanted = select(*columns, *record).join(audit_programs).where(*where)
        newest = wanted.order_by(paused_programs.c.created_ms.desc(), paused_programs.c.id).limit(MAX_LISTED)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(newest)).all()
        return [await self._read(row) for row in rows]

    async def _read(self, row: Any) -> Paused:
        values = dict(row._mapping)  # noqa: SLF001 - public API
        try:
            calls = (await self._stored(values))["calls"] if row.pending else []
        except Unsealable:
            calls = []
        return _paused(values, _calls(calls), self._now_ms())

    async def _end_revoked(self, where: ColumnElement[bool]) -> None:
        async with self._engine.connect() as connection:
            grants = set(await connection.scalars(select(paused_programs.c.grant_id).where(where).distinct())) - {""}
        gone = await self._ended(grants) if grants else set()
        if gone:
            await self._end(and_(where, paused_programs.c.grant_id.in_(gone)), "revoked")

    async def _end(self, where: ColumnElement[bool], state: str) -> None:
        ended = update(paused_programs).where(where).returning(paused_programs.c.program_id)
        values = {"state": state, "ended_ms": self._now_ms(), "pending": b"", "snapshot": b""}
        async with self._engine.begin() as connection:
            programs = list(await connection.scalars(ended.values(**values)))
            await close(connection, programs, state)

    async def _stored(self, row: dict[str, Any]) -> dict[str, Any]:
        plain = await self._opened(row["pending"], "pending", row)
        found: dict[str, Any] = await _aside(json.loads, plain, size=len(plain))
        return found

    def _text(self, plain: str, row: str) -> str:
        return base64.urlsafe_b64encode(self._seal.seal(plain.encode(), row=row)).decode()

    async def _sealed(self, plain: bytes, part: str, row: dict[str, Any]) -> bytes:
        return await _aside(lambda: self._seal.seal(plain, row=_row(part, row)), size=len(plain))

    async def _opened(self, sealed: bytes, part: str, row: dict[str, Any]) -> bytes:
        return await _aside(lambda: self._seal.open(sealed, row=_row(part, row)), size=len(sealed))


async def _aside(work: Callable[..., T], *arguments: Any, size: int) -> T:
    """Do what is small at once, and the rest in a thread."""
    return work(*arguments) if size <= _INLINE_BYTES else await asyncio.to_thread(work, *arguments)


def _encoded(pending: Sequence[PendingCall], session: dict[str, Json]) -> bytes:
    return json.dumps({"calls": [asdict(call) for call in pending], "session": session}).encode()


def _row(part: str, row: dict[str, Any]) -> str:
    """Return what a sealed part belongs to. Whatever of it is changed, the part cannot be opened any more."""
    names = ("id", "program_id", "issuer", "subject", "client_id", "grant_id")
    return json.dumps([part, FORMAT, *(row[name] for name in names)])


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unsealable("cannot be opened") from None


def _decision(person: Person, pause_id: str) -> str:
    return json.dumps(["decision", person.issuer, person.subject, pause_id])


def _carried(principal: Principal, code: str) -> str:
    digest = hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
    who = (principal.issuer, principal.subject, principal.client_id, principal.grant_id)
    return json.dumps(["carried", *who, digest])


def _named(pause_id: str) -> ColumnElement[bool]:
    """What is no id of ours is nobody's, whatever a database would say of its characters."""
    plain = pause_id.isascii() and pause_id.isalnum() and len(pause_id) <= MAX_ID_CHARS
    return paused_programs.c.id == (pause_id if plain else "")


def _of(person: Person) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return paused_programs.c.issuer == person.issuer, paused_programs.c.subject == person.subject


def _through(principal: Principal) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (
        paused_programs.c.client_id == principal.client_id,
        paused_programs.c.grant_id == principal.grant_id,
    )


def _calls(stored: Sequence[dict[str, Any]]) -> tuple[PendingCall, ...]:
    return tuple(PendingCall(**call) for call in stored)


def _held_by(instance: str) -> str:
    """Return what stands in place of a snapshot's format: a digest, since a name may be longer than the column."""
    return _HELD + hashlib.sha256(instance.encode()).hexdigest()[: 32 - len(_HELD)]


def _paused(row: dict[str, Any], pending: tuple[PendingCall, ...], now_ms: int) -> Paused:
    late = row["state"] in OPEN and row["expires_ms"] <= now_ms
    names = ("id", "program_id", "client_name", "source", "outcome", "asks", "created_ms", "expires_ms")
    holder = row["runtime"] if row["runtime"].startswith(_HELD) else ""
    state = "expired" if late else row["state"]
    return Paused(**{name: row[name] for name in names}, state=state, pending=pending, holder=holder)


async def _one_at_a_time(connection: AsyncConnection, person: Person) -> None:
    """Let nobody else store a pause of this person before the commit. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        who = int.from_bytes(
            hashlib.sha256(f"{person.issuer}#{person.subject}".encode()).digest()[:4], "big", signed=True
        )
        await connection.execute(text("SELECT pg_advisory_xact_lock(:room, :who)"), {"room": _LOCK, "who": who})
