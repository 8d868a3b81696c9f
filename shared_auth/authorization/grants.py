"""Grants: what a person agreed to. A grant that has ended ends every token made from it, here at once.

The door asks ``status`` on every request. Its answer may be ``FRESH_S`` old, which bounds how long a revocation on
another replica takes; a revocation in this process empties what was remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared_auth.asking import Ask, through
from shared_auth.store import changed, codes, grants, refresh_tokens, revocations, sessions, vendor_grants
from shared_auth.vault.vendor_grants import ENDED

log = logging.getLogger("shared_auth")

FRESH_S = 0.5
REMEMBERED = 4_096
LOCKS = 64
IDS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's consent: ``client_id`` may act for ``subject`` at ``resource`` with ``scope``.

    ``sid`` is the session at the company's provider in which it was given, "" where none is known.
    """

    grant_id: str
    subject: str
    client_id: str
    client_name: str
    redirect_uri: str
    resource: str
    scope: str
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A living grant as its person sees it; times are epoch seconds. ``used_at`` is when it last gave a token."""

    grant: Grant
    created_at: int
    used_at: int | None


_COLUMNS = [grants.c[name] for name in Grant.__dataclass_fields__]


def is_live(now: int | BindParameter[int]) -> ColumnElement[bool]:
    """Return the SQL condition of a grant that has neither been revoked nor expired."""
    return grants.c.revoked_at.is_(None) & (grants.c.expires_at > now)


# Made once: the door asks it more often than anything else is asked, and making it takes as long as asking.
_LIVE = select(*_COLUMNS).where(grants.c.grant_id == bindparam("wanted"), is_live(bindparam("now", type_=BigInteger)))


async def add(connection: AsyncConnection, grant: Grant, *, now: int, expires_at: int) -> None:
    """Store a new grant in the caller's transaction."""
    values = {name: getattr(grant, name) for name in Grant.__dataclass_fields__}
    await connection.execute(insert(grants).values(**values, created_at=now, expires_at=expires_at))


async def live(connection: AsyncConnection, grant_id: str, *, now: int) -> Grant | None:
    """Return the grant if it lives."""
    row = (await connection.execute(_LIVE, {"wanted": grant_id, "now": now})).first()
    return None if row is None else Grant(*row)


async def extend(
    connection: AsyncConnection, grant_id: str, *, now: int, expires_at: int, longest_s: int | None = None
) -> bool:
    """Note a use of a living grant and let it live until ``expires_at``; False when it has ended.

    ``longest_s`` is how long it may live in all, however often it is used.
    """
    found = update(grants).where(grants.c.grant_id == grant_id, is_live(now))
    if longest_s is None:
        return bool(await changed(connection, found.values(used_at=now, expires_at=expires_at)))
    last = grants.c.created_at + longest_s
    until = case((last < expires_at, last), else_=expires_at)
    return bool(await changed(connection, found.where(last > now).values(used_at=now, expires_at=until)))


class Grants:
    """All grants, and what this process remembers of them."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        clock: Callable[[], float],
        ask: Ask | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self._engine = engine
        self._ask = ask or through(engine)
        self._clock = clock
        self._max_seen = remembered
        self._seen: OrderedDict[str, tuple[float, Grant | None]] = OrderedDict()
        self._locks = [asyncio.Lock() for _ in range(LOCKS)]
        self._revocations = 0

    async def open(self, grant: Grant, *, ttl_s: int) -> None:
        """Store a grant that is already in use (a token made on the command line), for ``ttl_s`` seconds."""
        now = int(self._clock())
        async with self._engine.begin() as connection:
            await add(connection, grant, now=now, expires_at=now + ttl_s)

    async def status(self, grant_id: str) -> Grant | None:
        """Return the grant if it lives, as of at most ``FRESH_S`` seconds ago. Raises SQLAlchemyError.

        One query at a time per grant, however many requests wait for it.
        """
        found = self._remembered(grant_id)
        if found is None:
            async with self._locks[hash(grant_id) % LOCKS]:
                found = self._remembered(grant_id) or await self._look_up(grant_id)
        return found[1]

    async def ended(self, grant_ids: Collection[str]) -> set[str]:
        """Return which of ``grant_ids`` do not live, as of now. Raises SQLAlchemyError."""
        wanted, now = list(grant_ids), int(self._clock())

        def living(connection: Connection) -> set[str]:
            found = set[str]()
            for start in range(0, len(wanted), IDS_PER_QUERY):
                some = grants.c.grant_id.in_(wanted[start : start + IDS_PER_QUERY])
                found |= set(connection.scalars(select(grants.c.grant_id).where(some, is_live(now))))
            return found

        return set(wanted) - await self._ask(living)

    async def agreed(self, grant: Grant) -> bool:
        """Say whether the person has a living, used grant for exactly this client, address, resource and scope."""
        same = [
            grants.c[name] == getattr(grant, name)
            for name in ("subject", "client_id", "redirect_uri", "resource", "scope")
        ]
        found = select(grants.c.grant_id).where(*same, grants.c.used_at.is_not(None), is_live(int(self._clock())))
        async with self._engine.connect() as connection:
            return (await connection.execute(found.limit(1))).first() is not None

    async def kept(self, subject: str) -> list[Kept]:
        """Return the living grants of ``subject``, the newest first."""
        columns = (*_COLUMNS, grants.c.created_at, grants.c.used_at)
        mine = select(*columns).where(grants.c.subject == subject, is_live(int(self._clock())))
        async with self._engine.connect() as connection:
            rows = await connection.execute(mine.order_by(grants.c.created_at.desc(), grants.c.grant_id))
            return [Kept(Grant(*row[:-2]), row.created_at, row.used_at) for row in rows]

    async def revoke(
        self,
        *,
        grant_id: str | None = None,
        subject: str | None = None,
        client_id: str | None = None,
        sid: str | None = None,
        before: int | None = None,
        by: str = "",
    ) -> int:
        """End the living grants that fit everything given, and return how many. Nothing given means all.

        ``before`` is the last second in which what ends may have begun. ``by`` is who wants it so; it goes on the
        record in the same transaction. Without, the flow itself does.
        """
        given = {"grant_id": grant_id, "subject": subject, "client_id": client_id, "sid": sid}
        now = int(self._clock())
        fits = [grants.c[name] == value for name, value in given.items() if value is not None]
        fits += [] if before is None else [grants.c.created_at <= before]
        async with self._engine.begin() as connection:
            ended = await changed(connection, update(grants).where(is_live(now), *fits).values(revoked_at=now))
            signed_out = 0
            if grant_id is None and client_id is None:  # a person who is put out must not walk in again by cookie
                whose = {"subject": subject, "sid": sid}
                put_out = [sessions.c[name] == value for name, value in whose.items() if value is not None]
                put_out += [] if before is None else [sessions.c.created_at <= before]
                signed_out = await changed(connection, delete(sessions).where(*put_out))
                if sid is None and before is None:  # who only signs out elsewhere keeps their accounts at vendors
                    theirs = [] if subject is None else [vendor_grants.c.subject == subject]
                    await connection.execute(update(vendor_grants).where(*theirs).values(state=ENDED))
            # A provider's token may be sent again and again by whoever saw it: only what ended something is recorded.
            if by and (before is None or ended or signed_out):
                row = insert(revocations).values(**given, revoked_at=now, revoked_by=by, ended=ended)
                await connection.execute(row)
        self.forget()
        log.info("grants.revoked", extra={**given, "revoked_by": by, "ended": ended})
        return ended

    def forget(self) -> None:
        """Drop what is remembered, so that the next request of every grant asks the database."""
        self._revocations += 1
        self._seen.clear()

    async def prune(self) -> int:
        """Delete grants that have ended a day ago, with their codes and refresh tokens."""
        old = int(self._clock()) - 86_400
        ended = (grants.c.expires_at < old) | (grants.c.revoked_at < old)
        async with self._engine.begin() as connection:
            gone = select(grants.c.grant_id).where(ended)
            for table in (codes, refresh_tokens):
                await connection.execute(delete(table).where(table.c.grant_id.in_(gone)))
            return await changed(connection, delete(grants).where(ended))

    def _remembered(self, grant_id: str) -> tuple[float, Grant | None] | None:
        found = self._seen.get(grant_id)
        # A clock that was set back must not keep an answer fresh.
        return found if found is not None and 0 <= self._clock() - found[0] <= FRESH_S else None

    async def _look_up(self, grant_id: str) -> tuple[float, Grant | None]:
        asked_at, revocations = self._clock(), self._revocations
        wanted = {"wanted": grant_id, "now": int(asked_at)}
        row = await self._ask(lambda connection: connection.execute(_LIVE, wanted).first())
        found = (asked_at, None if row is None else Grant(*row))
        if revocations == self._revocations:  # else the answer may be older than a revocation that was acknowledged
            self._seen[grant_id] = found
            while len(self._seen) > self._max_seen:
                self._seen.popitem(last=False)
        return found
