"""Refresh tokens: hashed, rotated at every use, all of one grant a family. A second use revokes the family.

Grace. An answer can be lost on the way, and two windows of one agent can refresh at the same moment; both repeat a
token that was just spent. Within ``GRACE_S`` the repeat therefore gets the *same* successor that the first use got
(kept sealed for that), as long as nobody has used that successor yet. There is never a second branch: if the repeat
came from a thief, thief and owner now hold one token, and whoever uses it second, after the grace, revokes the family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared_auth import opaque, store
from shared_auth.authorization import grants
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.reasons import Denied, Reason
from shared_auth.sealing import Seal
from shared_auth.store import changed, refresh_tokens

GRACE_S = 10

_T = refresh_tokens.c


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A living grant and the refresh token that now stands for it."""

    grant: Grant
    refresh_token: str = field(repr=False)


class RefreshTokens:
    """Issues, rotates and finds refresh tokens."""

    def __init__(
        self,
        engine: AsyncEngine,
        known: Grants,
        seal: Seal,
        *,
        life_s: int,
        longest_s: int,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._grants = known
        self._seal = seal
        self._life_s = life_s
        self._longest_s = longest_s
        self._clock = clock

    async def issue(self, grant: Grant) -> str:
        """Store and return the first refresh token of ``grant``."""
        token = opaque.new("refresh")
        async with self._engine.begin() as connection:
            await self._add(connection, token, grant.grant_id, int(self._clock()))
        return token

    async def rotate(self, token: str, *, client_id: str) -> Refreshed:
        """Spend ``token`` and return its grant with the successor. Raises Denied; REFRESH_REUSED has revoked."""
        now, name, successor = int(self._clock()), opaque.digest(token), opaque.new("refresh")
        mine = _T.token_hash == name
        async with self._engine.begin() as connection:
            spend = update(refresh_tokens).where(mine, _T.used_at.is_(None), _T.expires_at > now, self._of(client_id))
            sealed = self._seal.seal(successor.encode(), row=name)
            first = await changed(connection, spend.values(used_at=now, successor=sealed))
            row = (await connection.execute(select(refresh_tokens).where(mine))).first()
            grant = None if row is None else await grants.live(connection, row.grant_id, now=now)
            if row is None or grant is None or grant.client_id != client_id:
                raise Denied(Reason.REFRESH_UNKNOWN)  # rolls back: nothing was spent
            if first:
                until, longest_s = now + self._life_s, self._longest_s
                if not await grants.extend(connection, grant.grant_id, now=now, expires_at=until, longest_s=longest_s):
                    raise Denied(Reason.REFRESH_UNKNOWN)  # revoked this very moment, or as old as a grant may get
                await self._add(connection, successor, grant.grant_id, now)
                return Refreshed(grant, successor)
            if row.used_at is None:
                raise Denied(Reason.REFRESH_UNKNOWN)  # expired
            again = await self._within_grace(connection, row, name, now)
        if again is None:
            await self._grants.revoke(grant_id=grant.grant_id)
            raise Denied(Reason.REFRESH_REUSED)
        return Refreshed(grant, again)

    async def owner(self, token: str) -> Grant | None:
        """Return the living grant of ``token``, spent or not."""
        async with self._engine.connect() as connection:
            found = select(_T.grant_id).where(_T.token_hash == opaque.digest(token))
            grant_id = (await connection.execute(found)).scalar()
            return None if grant_id is None else await grants.live(connection, grant_id, now=int(self._clock()))

    async def unspent(self, token: str) -> Grant | None:
        """Return the living grant of ``token`` if it could be used now, without using it."""
        now = int(self._clock())
        fresh = (_T.token_hash == opaque.digest(token)) & _T.used_at.is_(None) & (_T.expires_at > now)
        async with self._engine.connect() as connection:
            grant_id = (await connection.execute(select(_T.grant_id).where(fresh))).scalar()
            return None if grant_id is None else await grants.live(connection, grant_id, now=now)

    async def prune(self) -> int:
        """Delete expired tokens, and the sealed successors whose grace is over. Spent ones stay to be recognised."""
        now = int(self._clock())
        async with self._engine.begin() as connection:
            over = update(refresh_tokens).where(_T.used_at < now - GRACE_S, _T.successor.is_not(None))
            await connection.execute(over.values(successor=None))
            return await changed(connection, delete(refresh_tokens).where(_T.expires_at <= now))

    @staticmethod
    def _of(client_id: str) -> Any:
        granted = store.grants.c
        return exists().where(granted.grant_id == _T.grant_id, granted.client_id == client_id)

    async def _within_grace(self, connection: AsyncConnection, row: Any, name: str, now: int) -> str | None:
        if row.successor is None or now - row.used_at > GRACE_S:
            return None
        token = self._seal.open(row.successor, row=name).decode()
        unused = select(_T.used_at).where(_T.token_hash == opaque.digest(token), _T.used_at.is_(None))
        return token if (await connection.execute(unused)).first() is not None else None

    async def _add(self, connection: AsyncConnection, token: str, grant_id: str, now: int) -> None:
        values = {"token_hash": opaque.digest(token), "grant_id": grant_id, "expires_at": now + self._life_s}
        await connection.execute(insert(refresh_tokens).values(**values))
