"""Results that are kept for a while under a handle, for the person whose program made them and for nobody else.

A handle is a name, not a key: whoever presents one must be the person it was made for (issuer and subject, through
whichever client), and somebody else's handle, one that has expired and one that never was get the same answer.

What is kept is sealed with a key of its own, derived from the portal's secret, in parts that can be read one by one.
The associated data of a part names the handle, its owner and its place, so that whoever can write to the database can
neither hand a result to another person nor put parts together anew.

A person's oldest results make room for new ones. It is saved before ``keep`` returns, and any replica can read it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal.store.tables import result_parts, results
from shared_auth.principal import Principal
from shared_auth.sealing import Seal, Unsealable

PART_BYTES = 131_072
MAX_RESULTS = 1_000
"""How many a person may have at once; as with their bytes, the oldest make room."""

JSON = "application/json"
INLINE_BYTES = 65_536
PRUNED_AT_ONCE = 500

# No i, l, o, u: nothing that is misread, and no words. 26 of 32 letters hold 130 bits.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = 26
_HANDLE = re.compile(rf"r_[{_ALPHABET}]{{{_LETTERS}}}")


class NoSuchResult(Exception):
    """The person has no result of this name (any more)."""


class TooLarge(Exception):
    """More than one handle may hold. ``allowed`` bytes may be kept."""

    def __init__(self, allowed: int) -> None:
        super().__init__(f"more than {allowed} bytes")
        self.allowed = allowed


class ResultsUnavailable(Exception):
    """The database did not answer, or holds what cannot be opened."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long results are kept, and how much of them."""

    life_s: int
    handle_bytes: int
    person_bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a result without opening it."""

    handle: str
    media_type: str
    size_bytes: int
    created_ms: int
    expires_ms: int


def is_handle(text: str) -> bool:
    """Say whether ``text`` has the form of a handle."""
    return _HANDLE.fullmatch(text) is not None


class Results:
    """Keeps results. Every method takes the principal on whose behalf it acts, and sees nothing of other persons'."""

    def __init__(
        self,
        engine: AsyncEngine,
        secret: bytes,
        bounds: Bounds,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.bounds = bounds
        self._engine = engine
        self._seal = Seal(hashlib.blake2b(secret, digest_size=32, person=b"portal results").digest())
        self._now_ms = now_ms

    async def keep(self, principal: Principal, data: bytes, media_type: str = JSON) -> str:
        """Save ``data`` and return its handle. Raises TooLarge, ResultsUnavailable."""
        if len(data) > self.bounds.handle_bytes:
            raise TooLarge(self.bounds.handle_bytes)
        handle = "r_" + "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
        if len(data) <= INLINE_BYTES:
            parts = self._sealed(principal, handle, data)
        else:
            parts = await asyncio.to_thread(self._sealed, principal, handle, data)
        now_ms = self._now_ms()
        row = {
            "handle": handle,
            "issuer": principal.issuer,
            "subject": principal.subject,
            "media_type": media_type,
            "size_bytes": len(data),
            "created_ms": now_ms,
            "expires_ms": now_ms + self.bounds.life_s * 1_000,
        }
        try:
            async with self._engine.begin() as connection:
                await self._make_room(connection, principal, len(data), now_ms)
                await connection.execute(insert(results).values(row))
                for position, sealed in enumerate(parts):
                    # One at a time: no statement carries megabytes.
                    await connection.execute(
                        insert(result_parts).values(handle=handle, position=position, sealed=sealed)
                    )
        except SQLAlchemyError as error:
            raise ResultsUnavailable(type(error).__name__) from None
        return handle

    async def find(self, principal: Principal, handle: str) -> Kept:
        """Return what is known of a result. Raises NoSuchResult, ResultsUnavailable."""
        try:
            async with self._engine.connect() as connection:
                return await self._find(connection, principal, handle)
        except SQLAlchemyError as error:
            raise ResultsUnavailable(type(error).__name__) from None

    async def read(
        self, principal: Principal, handle: str, offset: int = 0, max_bytes: int | None = None
    ) -> tuple[Kept, bytes]:
        """Return a result and its bytes from ``offset``, at most ``max_bytes``: only the parts that hold them are read.

        Raises NoSuchResult, ResultsUnavailable.
        """
        try:
            async with self._engine.connect() as connection:
                found = await self._find(connection, principal, handle)
                end = found.size_bytes if max_bytes is None else min(offset + max_bytes, found.size_bytes)
                sealed = await _parts(connection, handle, offset // PART_BYTES, (end - 1) // PART_BYTES)
        except SQLAlchemyError as error:
            raise ResultsUnavailable(type(error).__name__) from None
        if offset >= end:
            return found, b""
        arguments = (principal, handle, offset // PART_BYTES, sealed)
        opened = self._opened(*arguments) if len(sealed) == 1 else await asyncio.to_thread(self._opened, *arguments)
        skipped = offset // PART_BYTES * PART_BYTES
        data = opened[offset - skipped : end - skipped]
        if len(data) != end - offset:
            raise ResultsUnavailable("parts of it are missing")
        return found, data

    async def mine(self, principal: Principal, most: int, *, before: tuple[int, str] | None = None) -> list[Kept]:
        """Return a person's results, newest first, at most ``most``: those that come after ``before``, the time and
        handle of the last one of the page before. Raises ResultsUnavailable.
        """
        wanted = [_owned(principal), results.c.expires_ms > self._now_ms()]
        if before is not None:
            created_ms, handle = before
            wanted.append(
                or_(
                    results.c.created_ms < created_ms,
                    and_(results.c.created_ms == created_ms, results.c.handle < handle),
                )
            )
        newest = select(*_KEPT).where(*wanted).order_by(results.c.created_ms.desc(), results.c.handle.desc())
        try:
            async with self._engine.connect() as connection:
                return [Kept(*row) for row in await connection.execute(newest.limit(most))]
        except SQLAlchemyError as error:
            raise ResultsUnavailable(type(error).__name__) from None

    async def prune(self) -> None:
        """Delete what has expired, in small transactions. Raises SQLAlchemyError."""
        over = select(results.c.handle).where(results.c.expires_ms <= self._now_ms()).limit(PRUNED_AT_ONCE)
        while True:
            async with self._engine.begin() as connection:
                done = await connection.execute(delete(results).where(results.c.handle.in_(over)))
            if done.rowcount < PRUNED_AT_ONCE:
                return

    async def _find(self, connection: AsyncConnection, principal: Principal, handle: str) -> Kept:
        if not is_handle(handle):
            raise NoSuchResult
        wanted = select(*_KEPT).where(
            results.c.handle == handle, _owned(principal), results.c.expires_ms > self._now_ms()
        )
        row = (await connection.execute(wanted)).one_or_none()
        if row is None:
            raise NoSuchResult
        return Kept(*row)

    async def _make_room(self, connection: AsyncConnection, principal: Principal, size: int, now_ms: int) -> None:
        # Begins with a write: a SQLite transaction that has read first may not be able to write any more.
        await connection.execute(delete(results).where(_owned(principal), results.c.expires_ms <= now_ms))
        newest = select(results.c.handle, results.c.size_bytes).where(_owned(principal))
        rows = await connection.execute(newest.order_by(results.c.created_ms.desc(), results.c.handle.desc()))
        left = self.bounds.person_bytes - size
        gone: list[str] = []
        for place, (handle, size_bytes) in enumerate(rows):
            left -= size_bytes
            if left < 0 or place >= MAX_RESULTS - 1:
                gone.append(handle)
        if gone:
            await connection.execute(delete(results).where(results.c.handle.in_(gone)))

    def _sealed(self, principal: Principal, handle: str, data: bytes) -> list[bytes]:
        view = memoryview(data)
        return [
            self._seal.seal(bytes(view[start : start + PART_BYTES]), row=_row(principal, handle, position))
            for position, start in enumerate(range(0, len(data), PART_BYTES))
        ]

    def _opened(self, principal: Principal, handle: str, first: int, sealed: Sequence[bytes]) -> bytes:
        try:
            return b"".join(
                self._seal.open(part, row=_row(principal, handle, position))
                for position, part in enumerate(sealed, start=first)
            )
        except Unsealable:
            raise ResultsUnavailable("it cannot be opened") from None


_KEPT = (
    results.c.handle,
    results.c.media_type,
    results.c.size_bytes,
    results.c.created_ms,
    results.c.expires_ms,
)


def _owned(principal: Principal) -> ColumnElement[bool]:
    return and_(results.c.issuer == principal.issuer, results.c.subject == principal.subject)


def _row(principal: Principal, handle: str, position: int) -> str:
    # Lengths first: no issuer and subject read like two others.
    return f"result:{handle}:{position}:{len(principal.issuer)}:{principal.issuer}:{principal.subject}"


async def _parts(connection: AsyncConnection, handle: str, first: int, last: int) -> list[bytes]:
    wanted = select(result_parts.c.sealed).where(
        result_parts.c.handle == handle, result_parts.c.position >= first, result_parts.c.position <= last
    )
    return list((await connection.scalars(wanted.order_by(result_parts.c.position))).all())
