"""Client assertions (RFC 7523 section 3): a client proves itself by a signature, each one good once and for minutes.

The audience is our issuer, exactly and alone. The token endpoint's address, which older texts allow, lets a hostile
authorization server collect an assertion that is good here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose, opaque
from shared_auth.authorization.declared import DeclaredClient
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, replays

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_LIFE_S = 300
CLOCK_SKEW_S = 60
MAX_ID_CHARS = 200

PLAIN_TYPE = "JWT"
EXPLICIT_TYPE = "client-authentication+jwt"


class Replays:
    """What was used and must not be used again before it expires, on any replica."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def first(self, name: str, *, until: int) -> bool:
        """Note a use of ``name``; False when it was used before. ``until`` is when it can no longer be used anyway."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(replays).values(use_hash=opaque.digest(name), expires_at=until))
        except IntegrityError:
            return False
        return True

    async def prune(self) -> int:
        """Delete what can no longer be used."""
        async with self._engine.begin() as connection:
            return await changed(connection, delete(replays).where(replays.c.expires_at <= int(self._clock())))


class Assertions:
    """Judges client assertions."""

    def __init__(self, replays: Replays, *, issuer: str, clock: Callable[[], float]) -> None:
        self._replays = replays
        self._issuer = issuer
        self._clock = clock

    async def prove(self, assertion: str, client: DeclaredClient) -> None:
        """Return when ``client`` made ``assertion`` just now for us, and spend it. Raises Denied."""
        try:
            typ = EXPLICIT_TYPE if jose.claimed_type(assertion) == EXPLICIT_TYPE else PLAIN_TYPE
            claims = jose.verify(assertion, client.keys, typ=typ, untyped=True)
        except jose.BadToken:
            raise Denied(Reason.ASSERTION_INVALID) from None
        now = self._clock()
        expires_at, jti = claims.get("exp"), claims.get("jti")
        timely = type(expires_at) is int and now < expires_at <= now + MAX_LIFE_S + CLOCK_SKEW_S
        named = isinstance(jti, str) and 0 < len(jti) <= MAX_ID_CHARS
        if not (timely and named and self._addressed(claims, client.client_id) and _begun(claims, now)):
            raise Denied(Reason.ASSERTION_INVALID)
        if not await self._replays.first(f"{client.client_id} {jti}", until=int(claims["exp"])):
            raise Denied(Reason.ASSERTION_REPLAYED)

    def _addressed(self, claims: Mapping[str, Any], client_id: str) -> bool:
        return claims.get("iss") == client_id == claims.get("sub") and claims.get("aud") == self._issuer


def claimed_client(assertion: str) -> str:
    """Return who an assertion says it is of, believed by nobody yet. Raises Denied."""
    try:
        found = jose.claimed(assertion).get("sub")
    except jose.BadToken:
        raise Denied(Reason.ASSERTION_INVALID) from None
    if not isinstance(found, str):
        raise Denied(Reason.ASSERTION_INVALID)
    return found


def _begun(claims: Mapping[str, Any], now: float) -> bool:
    times = [claims[name] for name in ("iat", "nbf") if name in claims]
    return all(type(time) is int and time <= now + CLOCK_SKEW_S for time in times)
