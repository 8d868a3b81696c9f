"""Device codes (RFC 8628): what a machine without a browser waits for while a person decides elsewhere.

A code lives ten minutes. The machine asks at most every five seconds, and every time that it asks sooner it has to wait
five seconds longer (section 3.5). The person is asked once, the machine gets its grant once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared_auth import opaque
from shared_auth.authorization import grants, user_codes
from shared_auth.authorization.client import Client
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.authorization.sessions import Session
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, devices

DEVICE_S = 600
INTERVAL_S = 5
SLOWER_S = 5
COLLECT_S = 60
"""How long a machine has at least to fetch what the person agreed to in the last moment."""
REMEMBER_S = 86_400
ATTEMPTS = 5
"""How often a new user code is drawn when it is one that somebody is typing in already."""

_D = devices.c


@dataclass(frozen=True, slots=True)
class Issued:
    """What the machine gets: ``device_code`` for itself, ``user_code`` to show."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked about, and the one-time id of the question."""

    consent: str = field(repr=False)
    client_id: str


class Devices:
    """The machines that wait."""

    def __init__(
        self,
        engine: AsyncEngine,
        known: Grants,
        *,
        secret: bytes,
        clock: Callable[[], float],
        draw: Callable[[], str] = user_codes.new,
    ) -> None:
        self._engine = engine
        self._grants = known
        self._secret = secret
        self._clock = clock
        self._draw = draw

    async def issue(self, client: Client, scope: str) -> Issued:
        """Store and return new codes for ``client``. Raises Denied (DEVICES_FULL)."""
        for _ in range(ATTEMPTS):
            issued = Issued(opaque.new("device"), self._draw())
            if await self._add(issued, client.client_id, scope):
                return issued
        raise Denied(Reason.DEVICES_FULL)

    async def ask(self, session: Session, text: str) -> Asked:
        """Return the question behind what ``session`` typed in; it alone can answer. Raises Denied (USER_CODE_UNKNOWN).

        Typing the code again asks anew, and then only the newest question counts.
        """
        code, consent = user_codes.typed(text), opaque.new("consent")
        if code is None:
            raise Denied(Reason.USER_CODE_UNKNOWN)
        mine = _D.user_code_hash == user_codes.digest(code, self._secret)
        asked = update(devices).where(mine, self._open())
        values = {"consent_hash": opaque.digest(consent), "session_hash": session.session_hash}
        async with self._engine.begin() as connection:
            found = await changed(connection, asked.values(**values))
            client_id = (await connection.execute(select(_D.client_id).where(mine))).scalar()
        if not found or client_id is None:
            raise Denied(Reason.USER_CODE_UNKNOWN)
        return Asked(consent, client_id)

    async def decide(self, session: Session, consent: str, grant: Callable[[str, str], Grant] | None) -> str:
        """Answer a question once, and only from its own session; return the client. None for ``grant`` is a no.

        ``grant`` is given client and scope and returns what a yes grants. Raises Denied (CONSENT_UNKNOWN).
        """
        now = int(self._clock())
        mine = (_D.consent_hash == opaque.digest(consent)) & (_D.session_hash == session.session_hash)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(devices).where(mine, self._open()).values(decided_at=now))
            row = (await connection.execute(select(devices).where(mine))).first()
            if not first or row is None:
                raise Denied(Reason.CONSENT_UNKNOWN)
            if grant is not None:
                agreed = grant(row.client_id, row.scope)
                until = max(row.expires_at, now + COLLECT_S)
                await grants.add(connection, agreed, now=now, expires_at=until)
                values = {"grant_id": agreed.grant_id, "expires_at": until}
                await connection.execute(update(devices).where(mine).values(**values))
        return str(row.client_id)

    async def collect(self, device_code: str, *, client_id: str, grant_s: int) -> Grant:
        """Return the grant that the person agreed to, once; it then lives ``grant_s`` seconds.

        Raises Denied: DEVICE_PENDING, DEVICE_TOO_FAST, DEVICE_EXPIRED, DEVICE_DENIED, DEVICE_UNKNOWN; DEVICE_REUSED has
        revoked what was collected before.
        """
        now, mine = int(self._clock()), _D.device_hash == opaque.digest(device_code)
        ready = _D.grant_id.is_not(None) & _D.used_at.is_(None) & (_D.expires_at > now) & (_D.client_id == client_id)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(devices).where(mine, ready).values(used_at=now))
            row = (await connection.execute(select(devices).where(mine))).first()
            if row is None or row.client_id != client_id:
                raise Denied(Reason.DEVICE_UNKNOWN)
            if first and await grants.extend(connection, row.grant_id, now=now, expires_at=now + grant_s):
                grant = await grants.live(connection, row.grant_id, now=now)
            else:
                grant = None
            refused = None if grant else await self._refusal(connection, row, bool(first), now)
        if grant is not None:
            return grant
        if refused is Reason.DEVICE_REUSED:
            await self._grants.revoke(grant_id=row.grant_id)
        raise Denied(refused or Reason.DEVICE_EXPIRED)

    async def prune(self) -> int:
        """Delete codes that are too old to be recognised."""
        old = int(self._clock()) - REMEMBER_S
        async with self._engine.begin() as connection:
            return await changed(connection, delete(devices).where(_D.expires_at < old))

    def _open(self) -> Any:
        return _D.decided_at.is_(None) & (_D.expires_at > int(self._clock()))

    async def _add(self, issued: Issued, client_id: str, scope: str) -> bool:
        now, code = int(self._clock()), user_codes.typed(issued.user_code)
        values = {
            "device_hash": opaque.digest(issued.device_code),
            "user_code_hash": user_codes.digest(str(code), self._secret),
            "client_id": client_id,
            "scope": scope,
            "interval_s": INTERVAL_S,
            "next_poll_at": now,
            "expires_at": now + DEVICE_S,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(devices).values(**values))
        except IntegrityError:
            return False
        return True

    @staticmethod
    async def _refusal(connection: AsyncConnection, row: Any, first: bool, now: int) -> Reason:
        if row.used_at is not None and not first:
            return Reason.DEVICE_REUSED
        if first or row.expires_at <= now:  # first, and without a grant: it was revoked meanwhile
            return Reason.DEVICE_EXPIRED
        if row.decided_at is not None and row.grant_id is None:  # with a grant, the yes came this very moment
            return Reason.DEVICE_DENIED
        fast = now < row.next_poll_at
        interval_s = row.interval_s + (SLOWER_S if fast else 0)
        mine = update(devices).where(_D.device_hash == row.device_hash)
        await connection.execute(mine.values(interval_s=interval_s, next_poll_at=now + interval_s))
        return Reason.DEVICE_TOO_FAST if fast else Reason.DEVICE_PENDING
