"""Vendor grants as rows: sealed to their person, server and key; changed only by whoever knows what is there now.

Every write names the ``version`` that it read, or the lease that it holds, and changes nothing when another was
faster. No lock and no transaction is ever held over a request to a vendor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.sealing import Unsealable
from shared_auth.store import changed, vendor_grants
from shared_auth.vault.answers import TokenAnswer
from shared_auth.vault.credential import Site, site_of
from shared_auth.vault.keyring import Keyring

READY, RECONNECT, ENDED = "ready", "reconnect", "ended"
LEASE_S = 60
"""Within this time a refresh has ended, one way or the other, or its process is dead. Clocks of replicas may differ by
what it is longer than a request to a vendor."""
SEAL_TRIES = 3


class Who(NamedTuple):
    """Whose grant, for which server."""

    issuer: str
    subject: str
    server: str


@dataclass(frozen=True, slots=True)
class VendorGrant:
    """What is sealed. ``binding`` says at which vendor and registration it is good, ``expires_at`` is of the access
    token and None when that does not end.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: int | None
    scope: str
    binding: str
    site: Site | None = None

    def renewed(self, answer: TokenAnswer, *, now: float) -> VendorGrant:
        """Return the grant after a refresh. What comes back counts; what does not stays (RFC 6749 section 6)."""
        return replace(
            self,
            access=answer.access,
            refresh=self.refresh if answer.refresh is None else answer.refresh,
            expires_at=expiry(answer, now=now),
            scope=self.scope if answer.scope is None else answer.scope,
        )


def expiry(answer: TokenAnswer, *, now: float) -> int | None:
    """Return when the access token ends, None for never."""
    return None if answer.expires_in_s is None else int(now) + answer.expires_in_s


@dataclass(frozen=True, slots=True)
class Held:
    """A row as it was read. ``grant`` is None when it cannot be opened: another row's bytes, or a lost key."""

    who: Who
    version: str
    state: str
    connected_at: int
    changed_at: int
    grant: VendorGrant | None


class VendorGrants:
    """The rows."""

    def __init__(self, engine: AsyncEngine, keyring: Keyring, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._keyring = keyring
        self._clock = clock

    async def find(self, who: Who) -> Held | None:
        """Return the row, None when there is none."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(vendor_grants).where(_of(who)))).first()
        return None if row is None else await self._held(row)

    async def of_person(self, issuer: str, subject: str) -> dict[str, Held]:
        """Return a person's rows by server."""
        mine = (vendor_grants.c.issuer == issuer) & (vendor_grants.c.subject == subject)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(vendor_grants).where(mine))).all()
        return {row.server: await self._held(row) for row in rows}

    async def ended(self, limit: int) -> list[Held]:
        """Return rows whose person was revoked."""
        over = select(vendor_grants).where(vendor_grants.c.state == ENDED).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(over)).all()
        return [await self._held(row) for row in rows]

    async def put(self, who: Who, grant: VendorGrant, held: Held | None) -> bool:
        """Store a grant that the person has just given in place of what was read; False when the row has changed.

        A refresh under way loses.
        """
        now = int(self._clock())
        fresh = {"state": READY, "connected_at": now, "changed_at": now, "lease": None, "leased_until": None}
        values = {**fresh, **await self._sealed(who, grant)}
        stored = (
            insert(vendor_grants).values(**who._asdict(), **values)
            if held is None
            else update(vendor_grants).where(_as_read(held)).values(**values)
        )
        try:
            async with self._engine.begin() as connection:
                return bool(await changed(connection, stored))
        except IntegrityError:  # the same person in two windows, or the key was replaced in this moment
            return False

    async def lease(self, held: Held) -> str | None:
        """Return a lease on the row as it was read, None when another has one or the row has changed.

        Whoever has the lease alone may spend the refresh token.
        """
        now, lease = int(self._clock()), opaque.new("lease")
        free = vendor_grants.c.leased_until.is_(None) | (vendor_grants.c.leased_until <= now)
        mine = _as_read(held) & (vendor_grants.c.state == READY) & free
        taken = update(vendor_grants).where(mine).values(lease=lease, leased_until=now + LEASE_S)
        async with self._engine.begin() as connection:
            return lease if await changed(connection, taken) else None

    async def release(self, who: Who, lease: str) -> None:
        """Give a lease back; the grant stays as it was."""
        await self._by_lease(who, lease, {})

    async def store(self, who: Who, lease: str, grant: VendorGrant) -> bool:
        """Store a refreshed grant; False when the lease is no longer ours (disconnected, revoked or connected anew)."""
        for _ in range(SEAL_TRIES):
            values = await self._sealed(who, grant)
            try:
                return await self._by_lease(who, lease, values | {"changed_at": int(self._clock())})
            except IntegrityError:  # the key was replaced in this moment: seal with the new one
                continue
        raise Unsealable("cannot be sealed")

    async def refuse(self, who: Who, lease: str) -> None:
        """Note that the vendor takes the grant no more."""
        await self._by_lease(who, lease, {"state": RECONNECT, "changed_at": int(self._clock())})

    async def choose(self, held: Held, grant: VendorGrant) -> bool:
        """Store ``grant`` in place of what was read; False when the row has changed or is being refreshed."""
        now = int(self._clock())
        free = vendor_grants.c.leased_until.is_(None) | (vendor_grants.c.leased_until <= now)
        values = await self._sealed(held.who, grant)
        try:
            async with self._engine.begin() as connection:
                chosen = update(vendor_grants).where(_as_read(held), free).values(**values)
                return bool(await changed(connection, chosen))
        except IntegrityError:
            return False

    async def expire(self, held: Held) -> None:
        """Note that the grant as it was read is over, though nobody refreshed it."""
        over = update(vendor_grants).where(_as_read(held)).values(state=RECONNECT, changed_at=int(self._clock()))
        async with self._engine.begin() as connection:
            await connection.execute(over)

    async def delete(self, who: Who, version: str | None = None) -> bool:
        """Delete the row (with ``version``, only as it was read) and say whether there was one."""
        mine = _of(who) if version is None else _of(who) & (vendor_grants.c.version == version)
        async with self._engine.begin() as connection:
            return bool(await changed(connection, delete(vendor_grants).where(mine)))

    async def reseal(self) -> int:
        """Seal every row with the newest key that is sealed with another one; return how many.

        Each row is readable at every moment, and one that changes meanwhile is taken again. A row that cannot be
        opened stays as it is and keeps its key.
        """
        done = 0
        newest, seal = await self._keyring.newest()
        behind = select(vendor_grants).where(vendor_grants.c.key_id != newest).limit(200)
        while True:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(behind)).all()
            if not rows:
                return done
            for row in rows:
                who = _who(row)
                try:
                    plain = (await self._keyring.named(row.key_id)).open(row.sealed, row=_name(who, row.key_id))
                except Unsealable:
                    behind = behind.where(~_of(who))
                    continue
                values = {"sealed": seal.seal(plain, row=_name(who, newest)), "key_id": newest}
                as_read = _of(who) & (vendor_grants.c.version == row.version)
                async with self._engine.begin() as connection:
                    anew = update(vendor_grants).where(as_read).values(**values, version=opaque.new("version"))
                    done += await changed(connection, anew)

    async def _by_lease(self, who: Who, lease: str, values: dict[str, Any]) -> bool:
        mine = _of(who) & (vendor_grants.c.lease == lease) & (vendor_grants.c.state == READY)
        over = {"lease": None, "leased_until": None}
        async with self._engine.begin() as connection:
            return bool(await changed(connection, update(vendor_grants).where(mine).values(**values, **over)))

    async def _sealed(self, who: Who, grant: VendorGrant) -> dict[str, Any]:
        key_id, seal = await self._keyring.newest()
        value = {
            "access": grant.access,
            "refresh": grant.refresh,
            "expires_at": grant.expires_at,
            "scope": grant.scope,
            "binding": grant.binding,
            "site": None if grant.site is None else grant.site.to_json(),
        }
        sealed = seal.seal(json.dumps(value).encode(), row=_name(who, key_id))
        return {"key_id": key_id, "sealed": sealed, "version": opaque.new("version")}

    async def _held(self, row: Any) -> Held:
        who = _who(row)
        try:
            value = json.loads((await self._keyring.named(row.key_id)).open(row.sealed, row=_name(who, row.key_id)))
        except Unsealable:
            grant = None
        else:
            grant = VendorGrant(**value | {"site": site_of(value["site"])})
        return Held(who, row.version, row.state, row.connected_at, row.changed_at, grant)


def _name(who: Who, key_id: str) -> str:
    """Return the associated data: no two of these fields can be exchanged or run together."""
    return json.dumps(["vendor-grant", *who, key_id])


def _of(who: Who) -> ColumnElement[bool]:
    return (
        (vendor_grants.c.issuer == who.issuer)
        & (vendor_grants.c.subject == who.subject)
        & (vendor_grants.c.server == who.server)
    )


def _as_read(held: Held) -> ColumnElement[bool]:
    return _of(held.who) & (vendor_grants.c.version == held.version)


def _who(row: Any) -> Who:
    return Who(row.issuer, row.subject, row.server)
