"""The composition root: every room is built here, once, and handed to those that need it.

Order of start: database → keys → demo vendors → upstreams → catalogue → sandbox → endpoint; stopped in reverse.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog
from mcp.server.transport_security import TransportSecuritySettings
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from portal.audit.audit import Audit
from portal.audit.retention import keeping
from portal.background import beside
from portal.catalogue.live import LiveCatalogue
from portal.catalogue.meaning import TextVectors
from portal.catalogue.rankings import vectors_of
from portal.embedded import vendors
from portal.endpoint.http import Endpoint, FieldValues, HostGuard
from portal.endpoint.server import build
from portal.gate import Gate
from portal.mapping import (
    auth_settings,
    declared_clients,
    limits,
    result_bounds,
    room,
    sandbox_options,
    security_settings,
    vault_servers,
)
from portal.policy.engine import Policy
from portal.programs.handles import Results
from portal.programs.held import Held
from portal.programs.pauses import Pauses
from portal.programs.programs import Programs
from portal.programs.reading import Reading
from portal.programs.revocations import Revocations
from portal.programs.search import Search, Unconnected
from portal.sandbox.engines import Engines
from portal.secret import secret_of
from portal.settings import ConfigurationError, PortalSettings
from portal.store.database import migrate, open_beside, open_database
from portal.upstream.accounts import Accounts
from portal.upstream.exchanged import ServerTokens
from portal.upstream.registry import Upstreams
from portal.web.approvals import Approvals
from portal.web.headers import SecurityHeaders
from portal.web.home import Home
from shared_auth.asking import Ask, Asking
from shared_auth.authorization.pages import for_people
from shared_auth.connect.connect import page_of
from shared_auth.principal import Principal
from shared_auth.service import Auth
from shared_auth.vault.credential import Credential, CredentialUnavailable
from shared_auth.vault.vault import VaultCredentials

PRUNE_EVERY_S = 3_600
ENDPOINT = "/mcp"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Portal:
    """A running portal, before any network: what HTTP, the command line and the tests all stand on."""

    settings: PortalSettings
    app: ASGIApp
    auth: Auth
    search: Search
    programs: Programs
    upstreams: Upstreams
    catalogue: LiveCatalogue
    sandbox: Engines
    audit: Audit
    engine: AsyncEngine
    routes: tuple[Route, ...]
    """Every address that is served."""


@asynccontextmanager
async def open_auth(settings: PortalSettings) -> AsyncIterator[Auth]:
    """Yield the auth flow alone, for commands that need no more. Raises ConfigurationError."""
    async with _database(settings) as engine:
        yield await _auth(settings, engine)


@asynccontextmanager
async def open_record(settings: PortalSettings) -> AsyncIterator[AsyncEngine]:
    """Yield the database alone, for commands that read the record. Raises ConfigurationError."""
    async with _database(settings) as engine:
        yield engine


@asynccontextmanager
async def open_catalogue(settings: PortalSettings) -> AsyncIterator[LiveCatalogue]:
    """Yield the catalogue alone, for commands that ask what stands behind the portal and call nothing.

    A portal may be running on the same data_dir: nothing of its own is touched. The database is opened only where a
    server takes tokens that it holds the keys of. Raises ConfigurationError or CatalogueConflict.
    """
    async with AsyncExitStack() as stack:
        tokens: ServerTokens | None = None
        if any(upstream.auth == "exchange" for upstream in settings.upstreams.values()):
            tokens = (await stack.enter_async_context(open_auth(settings))).server_token
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        gathered = _catalogue(settings, Path(folder), tokens, _no_accounts(settings), lambda: None, portal_answers=True)
        _, catalogue = await stack.enter_async_context(gathered)
        yield catalogue


@asynccontextmanager
async def open_portal(
    settings: PortalSettings, *, demo_dir: Path | None = None, instance: str | None = None
) -> AsyncIterator[Portal]:
    """Yield a running portal. Raises ConfigurationError, SandboxUnavailable or CatalogueConflict when it must not run.

    ``demo_dir`` is where demo vendors keep their data; a second portal on the same data_dir needs another one.
    ``instance`` names this process for the record when the name is its own and outlives a restart.
    """
    async with _database(settings) as engine, _asking(engine) as ask:
        auth = await _auth(settings, engine, ask=ask)
        policy = Policy.load(settings.policy.files, write_groups=frozenset(settings.policy.write_groups))
        vectors = await asyncio.to_thread(vectors_of, settings.search.ranking)
        async with (
            _catalogue(
                settings, demo_dir or settings.data_dir / "demo", auth.server_token, _accounts(auth, settings), vectors
            ) as (upstreams, catalogue),
            Audit(engine, instance=instance, max_source_bytes=settings.limits.source_bytes) as audit,
            keeping(engine, settings.audit.keep_days),
            Engines(sandbox_options(settings)) as sandbox,
            Revocations(auth.ended_grants).running() as revocations,
            _pauses(settings, engine, auth).running() as pauses,
            Held(room(settings)).running() as held,
        ):
            gate = Gate(policy, upstreams, settings.budget)
            search = Search(catalogue, gate, _unconnected(auth, settings))
            results = Results(engine, secret_of(settings), result_bounds(settings))
            programs = Programs(
                sandbox,
                catalogue,
                gate,
                audit,
                revocations,
                results,
                pauses,
                held,
                agree_in_client=settings.policy.agree_in_client,
                limits=limits(settings),
                reply_chars=settings.limits.reply_chars,
                per_principal=settings.limits.programs_per_principal,
            )
            reading = Reading(results, audit, page_bytes=settings.limits.reply_chars)
            security = security_settings(settings)
            endpoint = Endpoint(
                build(search, programs, reading, version=version("mcp-portal")),
                security=security,
                max_request_bytes=settings.max_request_bytes,
            )
            async with endpoint.running(), _pruning(auth, results):
                home = Home(auth, catalogue, gate, pauses, settings.endpoint, sign_in_link=settings.local_sign_in)
                approvals = Approvals(auth, pauses, sign_in_link=settings.local_sign_in)
                served = routes(auth, endpoint, home, approvals)
                app = application(served, security)
                rooms = (auth, search, programs, upstreams, catalogue, sandbox, audit, engine)
                yield Portal(settings, app, *rooms, routes=served)


@asynccontextmanager
async def _catalogue(
    settings: PortalSettings,
    demo_dir: Path,
    tokens: ServerTokens | None,
    accounts: Accounts,
    vectors: Callable[[], TextVectors | None],
    *,
    portal_answers: bool = False,
) -> AsyncIterator[tuple[Upstreams, LiveCatalogue]]:
    """Yield the upstreams, demo vendors beside them, and what they list. ``portal_answers`` as Upstreams says."""
    async with (
        vendors(settings.upstreams, demo_dir) as configured,
        Upstreams(configured, tokens, accounts).running(portal_answers=portal_answers) as upstreams,
        LiveCatalogue(upstreams, ttl_s=settings.catalogue_ttl_s, vectors=vectors).running() as catalogue,
    ):
        yield upstreams, catalogue


def _pauses(settings: PortalSettings, engine: AsyncEngine, auth: Auth) -> Pauses:
    return Pauses(
        engine,
        secret_of(settings),
        auth.ended_grants,
        site=settings.issuer,
        life_s=settings.limits.pause_s,
        per_person=settings.limits.paused_per_person,
    )


@asynccontextmanager
async def _database(settings: PortalSettings) -> AsyncIterator[AsyncEngine]:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"data_dir: {settings.data_dir} cannot be made ({error.strerror})") from None
    engine = open_database(settings.database)
    try:
        await migrate(engine)
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _asking(engine: AsyncEngine) -> AsyncIterator[Asking]:
    """Yield what asks about grants on a connection of its own: many logins at once must not delay it."""
    ask = Asking(open_beside(engine))
    try:
        # Connected now: connecting while everybody logs in may take longer than the question may.
        await ask(lambda connection: connection.scalar(select(1)))
        yield ask
    finally:
        await ask.close()


@asynccontextmanager
async def _pruning(auth: Auth, results: Results) -> AsyncIterator[None]:
    """Delete what has expired, now and every hour."""

    async def prune() -> None:
        while True:
            try:
                await auth.prune()
                await results.prune()
            except SQLAlchemyError as error:
                log.warning("prune_failed", error=type(error).__name__)
            await asyncio.sleep(PRUNE_EVERY_S)

    try:
        async with beside(prune(), "prune"):
            yield
    finally:
        await auth.close()


def _accounts(auth: Auth, settings: PortalSettings) -> Accounts:
    """Return how upstreams get people's credentials, and where a person connects an account that is missing."""
    return Accounts(
        lambda name: VaultCredentials(auth.vault, name),
        lambda name: page_of(settings.issuer, name),
        auth.vault.grantable,
    )


def _no_accounts(settings: PortalSettings) -> Accounts:
    """Return what servers that work with people's accounts start with where nothing is called."""

    async def nobodys(_principal: Principal, _server_token: str = "", /, *, rejected: str = "") -> Credential:  # noqa: ARG001 - named by the interface
        raise CredentialUnavailable("nothing is called here")

    return Accounts(lambda _name: nobodys, lambda name: page_of(settings.issuer, name), lambda _name, _scopes: ())


def _unconnected(auth: Auth, settings: PortalSettings) -> Unconnected:
    async def pages(principal: Principal) -> Mapping[str, str]:
        return {name: page_of(settings.issuer, name) for name in await auth.vault.unconnected(principal)}

    return pages


async def _auth(settings: PortalSettings, engine: AsyncEngine, *, ask: Ask | None = None) -> Auth:
    auth = Auth(
        auth_settings(settings),
        engine,
        ask=ask,
        clients=declared_clients(settings),
        servers=vault_servers(settings),
        summaries={name: upstream.summary for name, upstream in settings.upstreams.items()},
    )
    await auth.start()
    return auth


def routes(auth: Auth, endpoint: Endpoint, home: Home, approvals: Approvals) -> tuple[Route, ...]:
    """Return every address that is served; the first is the endpoint, behind the door."""

    async def healthy(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    door = Route(ENDPOINT, auth.door(endpoint), methods=["POST"])
    own = (Route("/", for_people(home.page)), Route("/healthz", healthy))
    return (door, *auth.routes(), *approvals.routes(), *own)


def application(served: tuple[Route, ...], security: TransportSecuritySettings) -> ASGIApp:
    """Return the ASGI application: the host guard stands before everything, and no answer leaves unguarded."""
    door, pages = served[0].endpoint, Starlette(routes=served[1:])
    pages.router.redirect_slashes = False  # an address is what it is: nothing is sent on to another one

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        # The endpoint first and by itself: it has no use for what Starlette puts around a page.
        await (door if scope["type"] == "http" and scope["path"] == ENDPOINT else pages)(scope, receive, send)

    guarded = HostGuard(routed, security=security, paths=[ENDPOINT], open_paths=["/healthz"])
    return FieldValues(SecurityHeaders(guarded))
