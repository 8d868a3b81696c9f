"""Authorization codes: one minute, one use, bound to client, address and PKCE challenge. A second use revokes."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.authorization import grants
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, codes

CODE_S = 60
REMEMBER_S = 86_400
"""How long a used or expired code is kept, so that a second use is recognised."""

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def is_challenge(value: str) -> bool:
    """Say whether ``value`` can be an S256 challenge: base64url of 32 bytes (RFC 7636 section 4.2)."""
    return _CHALLENGE.fullmatch(value) is not None


def is_verifier(value: str) -> bool:
    """Say whether ``value`` can be a PKCE verifier (RFC 7636 section 4.1)."""
    return _VERIFIER.fullmatch(value) is not None


def proves(verifier: str, challenge: str) -> bool:
    """Say whether ``verifier`` is what ``challenge`` was made from. Takes the same time either way."""
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


class Codes:
    """Issues codes after consent and turns each into its grant once."""

    def __init__(self, engine: AsyncEngine, known: Grants, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._grants = known
        self._clock = clock

    async def issue(self, grant: Grant, *, challenge: str) -> str:
        """Store ``grant`` and return a code for it. The grant dies with the code unless that is redeemed."""
        code, now = opaque.new("code"), int(self._clock())
        async with self._engine.begin() as connection:
            await grants.add(connection, grant, now=now, expires_at=now + CODE_S)
            values = {"code_hash": opaque.digest(code), "grant_id": grant.grant_id, "challenge": challenge}
            await connection.execute(insert(codes).values(**values, expires_at=now + CODE_S))
        return code

    async def redeem(
        self, code: str, *, client_id: str, redirect_uri: str | None, verifier: str, grant_s: int
    ) -> Grant:
        """Return the grant behind ``code``, which from now lives ``grant_s`` seconds.

        The code is spent before anything is compared, so a stolen one cannot be tried twice, and a failed try ends
        the grant. ``redirect_uri`` must be the one of the authorization request; a client of OAuth 2.1 (section
        10.2) leaves it out, PKCE doing its work. Raises Denied.
        """
        now, name = int(self._clock()), opaque.digest(code)
        spend = update(codes).where(codes.c.code_hash == name, codes.c.used_at.is_(None)).values(used_at=now)
        async with self._engine.begin() as connection:
            first = await changed(connection, spend)
            row = (await connection.execute(select(codes).where(codes.c.code_hash == name))).first()
            grant = None if row is None else await grants.live(connection, row.grant_id, now=now)
            refused = self._refusal(row, grant, bool(first), client_id, redirect_uri, verifier, now)
            good = grant if refused is None else None
            until = now + grant_s
            # False also for a grant that is revoked this very moment.
            kept = good is not None and await grants.extend(connection, good.grant_id, now=now, expires_at=until)
        if kept and good is not None:
            return good
        if row is not None:
            await self._grants.revoke(grant_id=row.grant_id)
        raise Denied(refused or Reason.CODE_UNKNOWN)

    async def prune(self) -> int:
        """Delete codes that are too old to be recognised."""
        old = int(self._clock()) - REMEMBER_S
        async with self._engine.begin() as connection:
            return await changed(connection, delete(codes).where(codes.c.expires_at < old))

    @staticmethod
    def _refusal(
        row: Any, grant: Grant | None, first: bool, client_id: str, redirect_uri: str | None, verifier: str, now: int
    ) -> Reason | None:
        if row is None:
            return Reason.CODE_UNKNOWN
        if not first:
            return Reason.CODE_REUSED
        if grant is None or row.expires_at <= now:
            return Reason.CODE_UNKNOWN
        if grant.client_id != client_id or redirect_uri not in (None, grant.redirect_uri):
            return Reason.CODE_MISMATCH
        return None if proves(verifier, row.challenge) else Reason.VERIFIER_WRONG
