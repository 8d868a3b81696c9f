"""The auth flow put together: what a portal or a server needs of it, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shared_auth import metadata, opaque
from shared_auth.addresses import lookup
from shared_auth.asking import Ask
from shared_auth.authorization.access import Access
from shared_auth.authorization.answers import CROSS_ORIGIN, oauth
from shared_auth.authorization.assertions import Assertions, Replays
from shared_auth.authorization.authorize import Authorize
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.codes import Codes
from shared_auth.authorization.consent import Consent
from shared_auth.authorization.declared import DEVICE_CODE, JWT_BEARER, Declared, DeclaredClient
from shared_auth.authorization.device import DeviceAuthorization, DevicePage
from shared_auth.authorization.devices import Devices
from shared_auth.authorization.documents import Documents
from shared_auth.authorization.form_tokens import FormTokens
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.authorization.headless import ClientCredentials
from shared_auth.authorization.introspect import Introspect
from shared_auth.authorization.local import Links, LocalSignIn
from shared_auth.authorization.pages import for_people
from shared_auth.authorization.parameters import Parameters
from shared_auth.authorization.questions import Questions
from shared_auth.authorization.refresh import RefreshTokens
from shared_auth.authorization.register import Register
from shared_auth.authorization.revoke import Revoke
from shared_auth.authorization.sessions import Cookies, Session, Sessions
from shared_auth.authorization.sign_out import SignOut
from shared_auth.authorization.token import TokenEndpoint
from shared_auth.authorization.tries import Tries
from shared_auth.authorization.way_back import WayBack
from shared_auth.configuration import ConfigurationError
from shared_auth.connect.connect import CALLBACK, Connect
from shared_auth.connect.departures import Departures
from shared_auth.exchange import Exchange
from shared_auth.identity.id_jag import IdentityAssertions
from shared_auth.identity.identity import Identity
from shared_auth.identity.logout import LOGOUT
from shared_auth.keys import Keys
from shared_auth.outbound import Outbound
from shared_auth.people import People, Person
from shared_auth.pinned import Lookup
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.resource import Door
from shared_auth.sealing import Seal
from shared_auth.settings import SCOPE, AuthSettings
from shared_auth.tokens import Tokens
from shared_auth.vault.handover import Handover
from shared_auth.vault.vault import Vault
from shared_auth.vault.vendor import VaultServer
from shared_auth.vault.vendor_api import VendorApi

WEB_CLIENT = "portal-web"
CLI_CLIENT = "portal-cli"
CLI_NAME = "portal command line"


class Auth:
    """One portal's auth flow over one database. Create it once, ``await start()``, then use the rest.

    ``clock`` gives epoch seconds. Every replica on the same database with the same secret is the same portal.
    ``ask`` asks the same database which grants live: the door's question, and that about running programs, which
    nothing else may delay.
    ``servers`` work with a credential at their vendors; ``summaries`` say to people what each is for.
    ``transport`` and ``resolve`` replace the network and its names.
    """

    def __init__(
        self,
        settings: AuthSettings,
        engine: AsyncEngine,
        *,
        ask: Ask | None = None,
        clients: Sequence[DeclaredClient] = (),
        servers: Sequence[VaultServer] = (),
        summaries: Mapping[str, str] = MappingProxyType({}),
        clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Lookup = lookup,
    ) -> None:
        outbound = Outbound(transport=transport)
        seal = Seal(settings.secret)
        self._settings = settings
        self._clock = clock
        self._keys = Keys(engine, seal, clock=clock)
        self._tokens = Tokens(self._keys, issuer=settings.issuer, clock=clock)
        self._exchange = Exchange(self._keys, issuer=settings.issuer, clock=clock)
        self._people = People(engine)
        self._sessions = Sessions(engine, clock=clock)
        self._cookies = Cookies(settings)
        self._way_back = WayBack(seal, self._cookies, issuer=settings.issuer, clock=clock)
        self._links = Links(engine, clock=clock)
        self._declared = Declared(clients)
        if JWT_BEARER in self._declared.grant_types and not (settings.oidc and settings.oidc.identity_assertions):
            raise ConfigurationError("auth.clients: identity assertions need auth.oidc with identity_assertions = true")
        self._replays = Replays(engine, clock=clock)
        assertions = Assertions(self._replays, issuer=settings.issuer, clock=clock)
        known = settings.documents
        documents = None if known is None else Documents(known, outbound, clock=clock, resolve=resolve)
        self._clients = Clients(
            engine, clock=clock, documents=documents, declared=self._declared, assertions=assertions
        )
        self._grants = Grants(engine, ask=ask, clock=clock)
        self._codes = Codes(engine, self._grants, clock=clock)
        self._refresh_tokens = RefreshTokens(
            *(engine, self._grants, seal), life_s=settings.refresh_token_s, longest_s=settings.grant_s, clock=clock
        )
        self._tries = Tries(engine, clock=clock)
        self._devices = Devices(engine, self._grants, secret=settings.secret, clock=clock)
        self._questions = Questions(engine, clock=clock)
        self._identity = (
            None
            if settings.oidc is None
            else Identity(
                *(settings.oidc, engine, seal, outbound, self._cookies, self._way_back),
                issuer=settings.issuer,
                clock=clock,
            )
        )
        redirect_uri = f"{settings.issuer}{CALLBACK}"
        self._vendor_api = VendorApi(outbound, resolve=resolve, redirect_uri=redirect_uri)
        self._departures = Departures(engine, seal, clock=clock)
        self._summaries = summaries
        self._forms = FormTokens(settings.secret, issuer=settings.issuer)
        self.vault = Vault(servers, engine, seal, self._vendor_api, issuer=settings.issuer, clock=clock)
        self._person = Person(settings.local_subject, settings.local_name, settings.local_email, settings.local_groups)

    async def start(self) -> None:
        """Load or make the signing keys. The tables must exist. Raises ConfigurationError for the wrong secret."""
        await self._keys.start()
        await self.vault.start()
        if self._settings.local_sign_in:
            await self._people.remember(self._person, now=int(self._clock()))

    def routes(self) -> list[Route]:
        """Return the routes of the authorization server and of the public documents."""
        settings, clients, tokens = self._settings, self._clients, self._tokens
        departure = None if self._identity is None else self._identity.departure
        consent = Consent(settings, self._questions, clients, self._codes, self._sessions, self._cookies, departure)
        authorize = Authorize(settings, clients, self._sessions, self._cookies, self._people, self._grants, consent)
        headless = ClientCredentials(settings, self._grants, tokens)
        token = TokenEndpoint(
            *(settings, clients, self._codes, self._refresh_tokens, self._people, tokens),
            declared=self._declared,
            headless=headless,
            devices=self._devices,
            handover=Handover(self.vault, self._keys, self._grants, issuer=settings.issuer, clock=self._clock),
            identity_assertions=self._identity_assertions(),
            clock=self._clock,
        )
        revoke = Revoke(clients, self._grants, self._refresh_tokens, tokens, resource=settings.resource)
        register = Register(clients, per_address=settings.registrations_per_address, clock=self._clock)
        found = metadata.routes(settings, self._declared, self._keys)
        for path, handler in (("token", token), ("register", register), ("revoke", revoke)):
            endpoint = oauth(handler.endpoint)
            found.append(Route(f"/{path}", endpoint, methods=["POST", "OPTIONS"], middleware=CROSS_ORIGIN))
        if self._declared.introspects:
            introspect = Introspect(settings, clients, self._grants, self._refresh_tokens, tokens)
            found.append(Route("/introspect", oauth(introspect.endpoint), methods=["POST"]))
        found.append(Route("/authorize", for_people(authorize.endpoint), methods=["GET"]))
        found.append(Route("/consent", for_people(consent.endpoint), methods=["POST"]))
        sign_out = SignOut(self._sessions, self._cookies, departure, issuer=settings.issuer)
        found.append(Route("/sign-out", for_people(sign_out.endpoint), methods=["POST"]))
        if self._identity is not None:
            found += self._identity.routes(self._people, self._sessions, consent)
            logout = self._identity.logout(self._grants)
            found.append(Route(LOGOUT, oauth(logout.endpoint), methods=["POST"]))
        if settings.local_sign_in:
            browser = (self._sessions, self._cookies, self._way_back)
            local = LocalSignIn(self._links, *browser, self._person, issuer=settings.issuer)
            found.append(Route("/sign-in", for_people(local.show), methods=["GET"]))
            found.append(Route("/sign-in", for_people(local.sign_in), methods=["POST"]))
        access = Access(
            settings, self._grants, self._sessions, self._cookies, self._people, self._forms, self._way_back
        )
        found.append(Route("/access", for_people(access.show), methods=["GET"]))
        found.append(Route("/access", for_people(access.endpoint), methods=["POST"]))
        return [*found, *self._device_routes(), *self._connect_routes()]

    def _connect_routes(self) -> list[Route]:
        if not self.vault.servers:
            return []
        settings = self._settings
        connect = Connect(
            *(self.vault, self._vendor_api, self._departures, self._sessions, self._cookies),
            self._forms,
            self._way_back,
            issuer=settings.issuer,
            local_sign_in=settings.local_sign_in,
            summaries=self._summaries,
        )
        return connect.routes()

    def _identity_assertions(self) -> IdentityAssertions | None:
        if self._identity is None or JWT_BEARER not in self._declared.grant_types:
            return None
        return self._identity.assertions(self._settings, self._replays, self._grants, self._people, self._tokens)

    def _device_routes(self) -> list[Route]:
        if DEVICE_CODE not in self._declared.grant_types:
            return []
        start = DeviceAuthorization(self._settings, self._clients, self._devices, self._clock)
        visit = DevicePage(
            *(self._settings, self._devices, self._declared, self._sessions, self._cookies, self._people, self._tries)
        )
        path, methods = "/device_authorization", ["POST", "OPTIONS"]
        return [
            Route(path, oauth(start.endpoint), methods=methods, middleware=CROSS_ORIGIN),
            Route("/device", for_people(visit.show), methods=["GET"]),
            Route("/device", for_people(visit.endpoint), methods=["POST"]),
        ]

    def door(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` behind the door: it sees only requests of a principal, found with ``principal_of(scope)``."""
        return Door(app, self._settings, self._tokens, self._grants)

    def server_token(self, principal: Principal | None, audience: str) -> str:
        """Return a token of a minute with which the portal acts for ``principal``, or itself, at one server."""
        return self._exchange.mint(principal, audience=audience).token

    async def sign_in_link(self) -> str:
        """Return a fresh one-time link that signs a browser in as the local person. Whoever has it can use it.

        Raises ConfigurationError when the local sign-in is off.
        """
        self._require_local()
        return f"{self._settings.issuer}/sign-in?code={await self._links.issue(self._person.subject)}"

    async def local_token(self, *, client_id: str = CLI_CLIENT, name: str = CLI_NAME, ttl_s: int) -> str:
        """Return an access token of the local person with its own grant, both alive for ``ttl_s`` seconds.

        Raises ConfigurationError when the local sign-in is off, ValueError for a life over a day.
        """
        self._require_local()
        principal = self._local(client_id, name, opaque.new("grant"))
        minted = self._tokens.mint(principal, audience=self._settings.resource, ttl_s=ttl_s)
        await self._grants.open(
            Grant(principal.grant_id, principal.subject, client_id, name, "", self._settings.resource, SCOPE),
            ttl_s=ttl_s,
        )
        return minted.token

    async def local_principal(self) -> Principal:
        """Return the local person as the command line acts for them, without a token or a grant.

        Raises ConfigurationError when the local sign-in is off.
        """
        self._require_local()
        return self._local(CLI_CLIENT, CLI_NAME, "")

    async def session_principal(self, request: Request) -> Principal | None:
        """Return the person whose browser sent ``request``, or None. For our own pages only, never for the endpoint."""
        session = await self._sessions.find(self._cookies.session(request))
        person = None if session is None else await self._people.find(session.subject)
        return None if person is None else self._principal(person, WEB_CLIENT, "portal web pages", "")

    async def form_token(self, request: Request, *, about: str) -> str:
        """Return what the form of another page of ours carries as ``form_token``, to decide on ``about`` alone.

        Raises Denied when nobody is signed in.
        """
        return self._forms.of(await self._signed_in(request), about)

    async def read_form(self, request: Request, *, about: str) -> Parameters:
        """Return the fields of the form about ``about`` that our own page showed this session. Raises Denied."""
        return await self._forms.read(request, await self._signed_in(request), about)

    def remember_page(self, response: Response, request: Request) -> None:
        """Let whoever signs in in this browser be led back to the page that ``request`` asked for."""
        self._way_back.remember(response, request)

    async def provider_ready(self) -> bool | None:
        """Say whether the company's provider answers as it must; None when people sign in locally. The log says why."""
        return None if self._identity is None else await self._identity.ready()

    async def revoke_grants(
        self, subject: str | None = None, client_id: str | None = None, *, by: str = "operator"
    ) -> int:
        """End the living grants of ``subject`` and/or ``client_id``, or all; return how many there were.

        Their tokens stop working here at once and on every replica within half a second. A person whose every grant
        is ended is signed out of the browser, too, and what their accounts at vendors let the portal do is over at
        once; ``clear_vendor_grants`` then tells the vendors. Who did so, ``by``, is on record in the same transaction.
        """
        return await self._grants.revoke(subject=subject, client_id=client_id, by=by)

    async def clear_vendor_grants(self) -> int:
        """Revoke at their vendors, and delete, the vendor grants of people who were revoked; return how many."""
        return await self.vault.clear()

    async def close(self) -> None:
        """Wait for what must not be cut off: refreshes that a vendor may have answered already."""
        await self.vault.close()

    async def ended_grants(self, grant_ids: Collection[str]) -> set[str]:
        """Return which of the grants have ended, as the database says now. Raises SQLAlchemyError."""
        return await self._grants.ended(grant_ids)

    async def prune(self) -> int:
        """Delete what has expired and return how many rows; take over new signing keys. Run it hourly."""
        identity = [] if self._identity is None else [self._identity.prune]
        rooms = (
            *(self._keys, self._links, self._sessions, self._questions),
            *(self._codes, self._refresh_tokens, self._grants, self._clients),
            *(self._replays, self._devices, self._tries, self._departures),
        )
        gone = sum([await prune() for prune in (*(room.prune for room in rooms), *identity)])
        await self.vault.prune()
        return gone + await self.vault.clear()

    async def _signed_in(self, request: Request) -> Session:
        session = await self._sessions.find(self._cookies.session(request))
        if session is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        return session

    def _require_local(self) -> None:
        if not self._settings.local_sign_in:
            raise ConfigurationError("local_sign_in: is off, so there is no local person to act for")

    def _local(self, client_id: str, client_name: str, grant_id: str) -> Principal:
        return self._principal(self._person, client_id, client_name, grant_id)

    def _principal(self, person: Person, client_id: str, client_name: str, grant_id: str) -> Principal:
        return Principal(
            issuer=self._settings.issuer,
            subject=person.subject,
            client_id=client_id,
            grant_id=grant_id,
            scopes=frozenset({SCOPE}),
            groups=person.groups,
            name=person.name,
            email=person.email,
            client_name=client_name,
        )
