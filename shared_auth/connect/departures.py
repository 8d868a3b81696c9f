"""Ways to a vendor that are not finished: made by a press of a button, ten minutes, one use, one signed-in browser.

The state in the address names one; the rest is sealed. It counts only in the session that left, so nobody can have a
victim's browser finish what they began themselves (login CSRF): the victim would work with the attacker's account.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.authorization.sessions import Session
from shared_auth.reasons import Denied, Reason
from shared_auth.sealing import Seal, Unsealable
from shared_auth.store import changed, departures

DEPARTURE_S = 600


@dataclass(frozen=True, slots=True)
class WayOut:
    """A person who has left for the vendor of ``server``, asked for ``scope``. ``binding`` is that vendor as the
    settings named it then.
    """

    server: str
    binding: str
    scope: str
    verifier: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """The PKCE S256 challenge of ``verifier`` (RFC 7636 section 4.2)."""
        return base64.urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class Departures:
    """The people that a vendor has not sent back yet."""

    def __init__(self, engine: AsyncEngine, seal: Seal, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._seal = seal
        self._clock = clock

    async def begin(self, session: Session, server: str, binding: str, scope: str) -> tuple[str, WayOut]:
        """Store a new way out of ``session`` and return it with its state."""
        state, way = opaque.new("departure"), WayOut(server, binding, scope, opaque.new("verifier"))
        name = opaque.digest(state)
        values = {
            "departure_hash": name,
            "session_hash": session.session_hash,
            "sealed": self._seal.seal(json.dumps(asdict(way)).encode(), row=f"departure:{name}"),
            "expires_at": int(self._clock()) + DEPARTURE_S,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(departures).values(**values))
        return state, way

    async def spend(self, session: Session, state: str) -> WayOut:
        """Return the way out of ``state``, the first time and to its own session only. Raises Denied."""
        now, name = int(self._clock()), opaque.digest(state)
        mine = (departures.c.departure_hash == name) & (departures.c.session_hash == session.session_hash)
        unspent = departures.c.used_at.is_(None) & (departures.c.expires_at > now)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(departures).where(mine, unspent).values(used_at=now))
            sealed = (await connection.execute(select(departures.c.sealed).where(mine))).scalar()
        if not first or sealed is None:
            raise Denied(Reason.DEPARTURE_UNKNOWN)
        try:
            return WayOut(**json.loads(self._seal.open(sealed, row=f"departure:{name}")))
        except Unsealable:
            raise Denied(Reason.DEPARTURE_UNKNOWN) from None

    async def prune(self) -> int:
        """Delete those that are finished or expired."""
        over = departures.c.used_at.is_not(None) | (departures.c.expires_at <= int(self._clock()))
        async with self._engine.begin() as connection:
            return await changed(connection, delete(departures).where(over))
