"""The vault: a person's credential for one server, renewed when it is due. Read ``_current`` from top to bottom.

A refresh token of many vendors is good once, and a second use ends everything. So one process at a time refreshes a
grant (a lease in its row), the new pair is in the database before anybody gets it, and a vendor's ``invalid_grant`` is
final. What is lost is the pair of a process that dies between the vendor's answer and our write: then the next refresh
is refused, and the person connects again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque
from shared_auth.configuration import ConfigurationError
from shared_auth.principal import CLIENT_SUBJECT, Principal
from shared_auth.sealing import Seal, Unsealable
from shared_auth.vault.answers import GrantDead, TokenAnswer
from shared_auth.vault.credential import Credential, CredentialUnavailable, NoPerson, NotConnected, Site
from shared_auth.vault.keyring import Keyring
from shared_auth.vault.vendor import VaultServer, Vendor
from shared_auth.vault.vendor_api import VendorApi, VendorDown
from shared_auth.vault.vendor_grants import READY, Held, VendorGrant, VendorGrants, Who, expiry

log = logging.getLogger("shared_auth")

MARGIN_S = 60
"""How long before its end an access token is renewed: it must outlive the call, and two clocks never agree."""
JUST_S = 30
"""A token this new that the vendor refuses is not worth another refresh: it refuses the person, not the token."""
WAIT_S = 25.0
"""How long to wait for another replica's refresh."""
POLL_S = 0.05
COOL_S = 5
"""After a failure to refresh, the vendor is not asked for the same person for this long: programs call in numbers."""
MAX_COOLING = 4_096
STORE_TRIES = 5
CONNECT_TRIES = 3
ENDED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Connected:
    """One server as a person's page shows it. ``state`` is ``service``, ``connected``, ``choose`` (a site),
    ``reconnect`` or ``absent``.
    """

    server: str
    title: str
    host: str
    state: str
    since: int | None = None
    site: str = ""
    scope: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A connection that stayed as it was: what the vendor granted now lacks ``lost`` of it, and was not stored.

    ``revoked`` says whether the vendor confirmed that the new tokens are revoked; None when it cannot do that alone.
    """

    lost: tuple[str, ...]
    revoked: bool | None


class Vault:
    """The credentials of every server that works with one."""

    def __init__(
        self,
        servers: Sequence[VaultServer],
        engine: AsyncEngine,
        secret: Seal,
        api: VendorApi,
        *,
        issuer: str,
        clock: Callable[[], float],
        wait_s: float = WAIT_S,
    ) -> None:
        self._servers: Mapping[str, VaultServer] = {one.name: one for one in servers}
        if len(self._servers) != len(servers):
            raise ConfigurationError("a server is named twice")
        self._keyring = Keyring(engine, secret, clock=clock)
        self._grants = VendorGrants(engine, self._keyring, clock=clock)
        self._api = api
        self._issuer = issuer
        self._clock = clock
        self._wait_s = wait_s
        self._closing = False
        self._cooling: dict[Who, float] = {}
        self._flights: dict[tuple[Who, str], asyncio.Task[VendorGrant]] = {}

    async def start(self) -> None:
        """Make the first key. Raises ConfigurationError when the secret does not open those that there are."""
        if self._servers:
            await self._keyring.newest()

    @property
    def servers(self) -> list[VaultServer]:
        """The servers that work with a credential, in the order of the settings."""
        return list(self._servers.values())

    def vendor(self, server: str) -> Vendor | None:
        """Return where people connect their accounts for ``server``; None when they do not."""
        found = self._servers.get(server)
        return None if found is None else found.vendor

    def server_at(self, resource: str) -> VaultServer | None:
        """Return the server whose own address is ``resource``."""
        return next((one for one in self._servers.values() if one.resource and one.resource == resource), None)

    async def credential(self, principal: Principal, server: str, *, rejected: str = "") -> Credential:
        """Return the credential with which ``server`` acts for ``principal``.

        ``rejected`` is the digest of a token that the vendor refused: it is renewed unless it is new. Raises
        NotConnected, NoPerson or CredentialUnavailable, and LookupError for a server that works without.
        """
        found = self._servers[server]
        if found.vendor is None:
            return Credential(found.service_token)
        if principal.subject.startswith(CLIENT_SUBJECT):
            raise NoPerson
        try:
            grant = await self._shared(Who(principal.issuer, principal.subject, server), rejected)
        except SQLAlchemyError:
            raise CredentialUnavailable("the vault cannot be read") from None
        if found.vendor.sites_url and grant.site is None:
            raise NotConnected
        return Credential(grant.access, grant.site, grant.expires_at, found.vendor.permits(grant.scope) or None)

    def grantable(self, server: str, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Return what people may be asked for when a call of ``server`` lacks ``scopes``; where none is named, all that
        they may be asked for besides those of every connection.
        """
        vendor = self.vendor(server)
        return () if vendor is None else vendor.asking(scopes or vendor.more_scopes)

    async def connect(
        self, subject: str, server: str, answer: TokenAnswer, asked: str, still_here: Callable[[], Awaitable[bool]]
    ) -> Kept | None:
        """Store what the vendor answered to a person's code before anything is done with it, and return None.

        ``asked`` are the scopes that it was asked for. A connection that permits more and still works stays: then what
        was answered is revoked, stored nowhere, and Kept returned. Raises NotConnected, with the answer revoked, for a
        person who is not ``still_here``.
        """
        vendor, who = self._person_vendor(server), Who(self._issuer, subject, server)
        scope = asked if answer.scope is None else answer.scope  # RFC 6749 section 5.1
        ends = expiry(answer, now=self._clock())
        grant = VendorGrant(answer.access, answer.refresh or "", ends, scope, vendor.binding)
        about = {"subject": subject, "server": server}
        for _ in range(CONNECT_TRIES):
            held = await self._grants.find(who)
            lost = await self._lost(held, vendor, scope)
            if not await still_here():
                await self._api.revoke(vendor, refresh_token=grant.refresh, access_token=grant.access)
                raise NotConnected
            if lost:
                log.info("vendor.kept", extra=about)
                return Kept(lost, await self._revoke_alone(vendor, grant))
            if await self._grants.put(who, grant, held):
                log.info("vendor.connected", extra=about)
                return None
        raise Unsealable("cannot be stored")

    async def _lost(self, held: Held | None, vendor: Vendor, scope: str) -> tuple[str, ...]:
        """Return what the connection that is there permits and one with ``scope`` would not; () when it is over.

        It is renewed, if it can be: only so is it known whether the vendor still takes it, and did not end it for the
        sake of the new one.
        """
        grant = None if held is None else held.grant
        lost = () if grant is None else vendor.lost(grant.scope, scope)
        if held is None or grant is None or not lost:
            return ()
        try:
            await self._shared(held.who, opaque.digest(grant.access) if grant.refresh else "")
        except NotConnected:
            return ()
        except CredentialUnavailable:  # a vendor that does not answer ends no grant
            pass
        return lost

    async def _revoke_alone(self, vendor: Vendor, grant: VendorGrant) -> bool | None:
        """Revoke a grant that is not to be used, unless that would end the one that stays."""
        if vendor.revoke_ends_all:
            return None
        return await self._api.revoke(vendor, refresh_token=grant.refresh, access_token=grant.access)

    async def sites(self, subject: str, server: str) -> list[Site]:
        """Return where the person's token may be used. Raises NotConnected, CredentialUnavailable or VendorDown."""
        grant = await self._shared(Who(self._issuer, subject, server), "")
        return await self._api.sites(self._person_vendor(server), grant.access)

    async def choose(self, subject: str, server: str, site: Site) -> bool:
        """Store which site the person chose; False when the grant changed in this moment."""
        held = await self._grants.find(Who(self._issuer, subject, server))
        if held is None or held.grant is None:
            return False
        return await self._grants.choose(held, replace(held.grant, site=site))

    async def disconnect(self, subject: str, server: str) -> bool | None:
        """Revoke the grant at the vendor and delete it here, whatever the vendor answers.

        Return whether the vendor confirmed; None when it has no endpoint for it, or there was nothing to revoke.
        """
        held = await self._grants.find(Who(self._issuer, subject, server))
        if held is None:
            return None
        try:
            return await self._revoke(held)
        finally:
            await self._grants.delete(held.who)
            log.info("vendor.disconnected", extra={"subject": subject, "server": server})

    async def connections(self, subject: str) -> list[Connected]:
        """Return every server that works with a credential, as it stands for one person."""
        rows = await self._grants.of_person(self._issuer, subject) if self._servers else {}
        return [self._connected(one, rows.get(one.name)) for one in self._servers.values()]

    async def unconnected(self, principal: Principal) -> list[str]:
        """Return the servers for which ``principal`` must connect an account first; empty when that cannot be known."""
        if principal.subject.startswith(CLIENT_SUBJECT):
            return []
        try:
            found = await self.connections(principal.subject)
        except SQLAlchemyError:
            return []
        return [one.server for one in found if one.state not in {"service", "connected"}]

    async def clear(self) -> int:
        """Revoke at their vendors, and delete, the grants of people who were revoked; return how many.

        They are of no use from the moment of the revocation; this takes them away, too.
        """
        gone = 0
        while found := await self._grants.ended(ENDED_AT_ONCE):
            await asyncio.gather(*(self._revoke(held) for held in found))
            deleted = [await self._grants.delete(held.who, held.version) for held in found]
            gone += sum(deleted)
        return gone

    async def rotate(self) -> int:
        """Make a new key, seal every grant with it and delete the keys that none needs; return how many grants."""
        await self._keyring.add()
        return await self._reseal()

    async def prune(self) -> int:
        """Finish what a rotation left that was stopped; return how many grants it sealed."""
        return await self._reseal() if self._servers else 0

    async def _reseal(self) -> int:
        done = await self._grants.reseal()
        await self._keyring.drop_unused()
        return done

    async def probe(self, server: str) -> str:
        """Say what is wrong with the vendor's settings of ``server`` as the vendor sees them; "" when nothing is.

        Asks for a refresh with a token that is none: a vendor that knows the portal answers ``invalid_grant``.
        """
        vendor = self.vendor(server)
        if vendor is None:
            return ""
        try:
            await self._api.refresh(vendor, "portal-check")
        except GrantDead:
            return ""
        except VendorDown as error:
            return f"the token endpoint does not know this portal, or does not answer ({error})"
        return "the token endpoint accepts a token that is none"

    async def close(self) -> None:
        """Wait for the refreshes that are under way here, and for no other replica's: an answer must not get lost."""
        self._closing = True
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def _shared(self, who: Who, rejected: str) -> VendorGrant:
        """Return the grant; all who ask at the same moment share one look, and nobody's leaving ends it."""
        name = (who, rejected)
        task = self._flights.get(name)
        if task is None:
            task = asyncio.create_task(self._current(who, rejected), name="vendor-grant")
            self._flights[name] = task
            task.add_done_callback(lambda done: self._landed(name, done))
        return await asyncio.shield(task)

    def _landed(self, name: tuple[Who, str], task: asyncio.Task[VendorGrant]) -> None:
        del self._flights[name]
        _ = task.cancelled() or task.exception()  # looked at, though everybody who asked may have left

    async def _current(self, who: Who, rejected: str) -> VendorGrant:
        """1. Is there a grant that may be used? 2. Is its token fresh? 3. Refresh it, or wait for who does."""
        vendor = self._person_vendor(who.server)
        until = self._monotonic() + self._wait_s
        while True:
            held = await self._grants.find(who)
            grant = self._usable(held, vendor)
            assert held is not None  # noqa: S101 - _usable raises
            refused = rejected != "" and opaque.digest(grant.access) == rejected
            if await self._good(held, grant, refused=refused):
                return grant
            lease = await self._grants.lease(held)
            if lease is not None:
                renewed = await self._refresh(held, grant, vendor, lease, refused=refused)
                if renewed is not None:
                    return renewed
            elif self._closing or self._monotonic() >= until:
                raise CredentialUnavailable("another process is renewing the credential and does not come to an end")
            else:
                await asyncio.sleep(POLL_S)

    async def _good(self, held: Held, grant: VendorGrant, *, refused: bool) -> bool:
        """Say whether the token is good as it is, or is to be refreshed. Raises when neither can be."""
        if refused and self._clock() - held.changed_at < JUST_S:
            return True
        if not refused and self._lives(grant, MARGIN_S):
            return True
        lives = not refused and self._lives(grant, 0)
        if not grant.refresh and not lives:
            await self._grants.expire(held)
            raise NotConnected
        cools = self._clock() < self._cooling.get(held.who, 0.0)
        if cools and not lives:
            raise CredentialUnavailable("the vendor did not renew the credential a moment ago")
        return lives and (cools or not grant.refresh)

    async def _refresh(
        self, held: Held, grant: VendorGrant, vendor: Vendor, lease: str, *, refused: bool
    ) -> VendorGrant | None:
        """Return the renewed grant, None when the row is no longer what it was: then look again."""
        try:
            answer = await self._api.refresh(vendor, grant.refresh)
        except GrantDead:
            await self._grants.refuse(held.who, lease)
            raise NotConnected from None
        except VendorDown as error:
            await self._grants.release(held.who, lease)
            if len(self._cooling) >= MAX_COOLING:
                self._cooling.clear()
            self._cooling[held.who] = self._clock() + COOL_S
            if not refused and self._lives(grant, 0):
                return grant
            raise CredentialUnavailable(f"the vendor does not renew the credential ({error})") from None
        renewed = grant.renewed(answer, now=self._clock())
        if await self._store(held.who, lease, renewed):
            return renewed
        after = await self._grants.find(held.who)
        if after is None or after.state != READY:
            # Disconnected or revoked meanwhile: that was about the old pair, and must hold for the new one.
            await self._revoke(replace(held, grant=renewed))
        return None

    async def _store(self, who: Who, lease: str, renewed: VendorGrant) -> bool:
        """Store the new pair, tried several times: the old one is worth nothing by now. Raises SQLAlchemyError."""
        for tried in range(STORE_TRIES - 1):
            try:
                return await self._grants.store(who, lease, renewed)
            except SQLAlchemyError as error:
                log.warning("vendor.store_failed", extra={"server": who.server, "error": type(error).__name__})
                await asyncio.sleep(POLL_S * 2**tried)
        return await self._grants.store(who, lease, renewed)

    def _usable(self, held: Held | None, vendor: Vendor) -> VendorGrant:
        """Return the grant of a row. Raises NotConnected."""
        if held is None or held.grant is None or held.state != READY:
            raise NotConnected
        if held.grant.binding != vendor.binding or vendor.missing(held.grant.scope):
            raise NotConnected
        return held.grant

    def _lives(self, grant: VendorGrant, margin_s: int) -> bool:
        return grant.expires_at is None or self._clock() < grant.expires_at - margin_s

    async def _revoke(self, held: Held) -> bool | None:
        """Revoke at the vendor what is good there, if it has an endpoint for it."""
        vendor, grant = self.vendor(held.who.server), held.grant
        if vendor is None or grant is None or grant.binding != vendor.binding:
            return None
        return await self._api.revoke(vendor, refresh_token=grant.refresh, access_token=grant.access)

    def _connected(self, server: VaultServer, held: Held | None) -> Connected:
        vendor = server.vendor
        if vendor is None:
            return Connected(server.name, "", "", "service")
        title = vendor.title or server.name
        if held is None or held.grant is None:
            return Connected(server.name, title, vendor.host, "absent")
        grant, missing = held.grant, vendor.missing(held.grant.scope)
        site = "" if grant.site is None else grant.site.name
        state = "connected"
        if held.state != READY or grant.binding != vendor.binding or missing:
            state = "reconnect"
        elif vendor.sites_url and grant.site is None:
            state = "choose"
        return Connected(server.name, title, vendor.host, state, held.connected_at, site, grant.scope, tuple(missing))

    def _person_vendor(self, server: str) -> Vendor:
        vendor = self.vendor(server)
        if vendor is None:
            raise LookupError(f"{server} does not work with people's own accounts")
        return vendor

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()


class VaultCredentials:
    """The vault as one server in this process sees it: its own credentials and nothing else."""

    def __init__(self, vault: Vault, server: str) -> None:
        self._vault = vault
        self._server = server

    async def __call__(self, principal: Principal, _server_token: str = "", /, *, rejected: str = "") -> Credential:
        """Return the credential of ``principal``. Raises as Credentials says."""
        return await self._vault.credential(principal, self._server, rejected=rejected)
