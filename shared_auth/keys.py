"""The signing keys: made once however many replicas start together, sealed, the old ones still verifiable."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.configuration import ConfigurationError
from shared_auth.sealing import Seal, Unsealable
from shared_auth.store import changed, keys

KEY_LIFE_S = 90 * 86_400
SETTLED_AFTER_S = 7 * 86_400
RELOAD_AFTER_S = 1.0

Jwk = Mapping[str, Any]


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def generate() -> dict[str, Any]:
    """Return a new private ES256 JWK whose ``kid`` is its RFC 7638 thumbprint."""
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    point = private.public_numbers
    members = {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(point.x.to_bytes(32, "big")),
        "y": _base64url(point.y.to_bytes(32, "big")),
    }
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    kid = _base64url(hashlib.sha256(canonical).digest())
    secret = _base64url(private.private_value.to_bytes(32, "big"))
    return {**members, "d": secret, "kid": kid, "use": "sig", "alg": "ES256"}


def public_half(key: Jwk) -> dict[str, Any]:
    """Return what may be published of a private JWK."""
    return {name: key[name] for name in ("kty", "crv", "x", "y", "kid", "use", "alg")}


class Keys:
    """The keys in this process. ``load`` before use."""

    def __init__(self, engine: AsyncEngine, seal: Seal, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._seal = seal
        self._clock = clock
        self._newest: Any = None
        self._signing: Jwk = {}
        self._public: dict[str, dict[str, Any]] = {}
        self._loaded_at = float("-inf")

    @property
    def signing(self) -> Jwk:
        """The private JWK that new tokens are signed with: the newest."""
        if not self._signing:
            raise ConfigurationError("signing keys are not loaded: await Auth.start() first")
        return self._signing

    @property
    def public(self) -> Mapping[str, Jwk]:
        """Public JWKs by ``kid``: every key whose tokens may still be alive."""
        return self._public

    async def start(self) -> None:
        """Load the keys, first making one when there is none or the newest is ``KEY_LIFE_S`` old.

        Raises ConfigurationError when the secret does not open what the database holds.
        """
        await self.reload()
        if self._newest is None or self._newest.created_at + KEY_LIFE_S <= self._clock():
            await self._add(1 if self._newest is None else self._newest.position + 1)
            await self.reload()

    async def reload(self) -> None:
        """Read the keys again: another replica may have added one, which is then the one to sign with."""
        self._loaded_at = self._clock()
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(keys).order_by(keys.c.position))).all()
        if not rows:
            return
        newest = rows[-1]
        try:
            self._signing = json.loads(self._seal.open(newest.sealed, row=newest.kid))
        except Unsealable:
            raise ConfigurationError(
                "secret: does not open the signing keys in the database; restore the secret that was in use, or "
                "delete the rows of auth_keys to end every session"
            ) from None
        self._newest = newest
        self._public = {row.kid: json.loads(row.public) for row in rows}

    async def knows(self, kid: object) -> bool:
        """Say whether ``kid`` is ours, looking into the database at most every ``RELOAD_AFTER_S`` seconds.

        The bound is what keeps made-up key ids from becoming database queries.
        """
        if not isinstance(kid, str):
            return False
        if kid not in self._public and abs(self._clock() - self._loaded_at) >= RELOAD_AFTER_S:
            await self.reload()
        return kid in self._public

    async def prune(self) -> int:
        """Take over the newest key, making it when it is due, and delete those whose tokens have all expired.

        A key goes only when its successor is ``SETTLED_AFTER_S`` old, so that every replica has taken over since.
        """
        await self.start()
        old = int(self._clock()) - SETTLED_AFTER_S
        settled = select(func.max(keys.c.position)).where(keys.c.created_at <= old).scalar_subquery()
        async with self._engine.begin() as connection:
            gone = await changed(connection, delete(keys).where(keys.c.position < settled))
        await self.reload()
        return gone

    async def _add(self, position: int) -> None:
        key = generate()
        row = {
            "position": position,
            "kid": key["kid"],
            "public": json.dumps(public_half(key)),
            "sealed": self._seal.seal(json.dumps(key).encode(), row=key["kid"]),
            "created_at": int(self._clock()),
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(keys).values(**row))
        except IntegrityError:
            return  # another replica took this position first: its key is the key
