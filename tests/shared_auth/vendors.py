"""Vendors in this process for the vault and the connect pages: honest emulators, and whatever a test has them answer."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import Router

from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, HABITS, Habits, OAuthEmulator
from shared_auth.authorization.declared import DeclaredClient
from shared_auth.principal import Principal
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.vault.presets import vendor
from shared_auth.vault.vault import Vault
from shared_auth.vault.vendor import VaultServer
from tests.shared_auth.company import network
from tests.shared_auth.flow import ISSUER, Clock, Flow, application, hidden, query_of

PUBLIC = "93.184.216.34"
ADA = Principal(issuer=ISSUER, subject="ada", client_id="agent", scopes=frozenset({"mcp"}))
Reply = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


@dataclass
class Vendors:
    """The network: each vendor at ``https://<name>.example``. ``replies`` are whole answers by path, in place of its own."""

    clock: Clock
    emulators: dict[str, OAuthEmulator] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    resolves: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, habits: Habits | None = None) -> OAuthEmulator:
        self.emulators[name] = OAuthEmulator(habits or HABITS[name], clock=self.clock)
        return self.emulators[name]

    async def resolve(self, host: str) -> list[str]:
        return self.resolves.get(host, [PUBLIC])

    @property
    def transport(self) -> httpx.MockTransport:
        return network(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path in self.replies:
            reply = self.replies[request.url.path](request)
            return await reply if inspect.isawaitable(reply) else reply
        return await self.app(request.headers["host"].partition(".")[0]).handle_async_request(request)

    def app(self, name: str) -> httpx.ASGITransport:
        return httpx.ASGITransport(Router(self.emulators[name].routes()))

    def server(self, name: str, **given: Any) -> VaultServer:
        fields = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | given
        if name == "google":
            root = "https://google.example"
            fields |= {"token_url": f"{root}/token", "revoke_url": f"{root}/revoke", "scopes": ("tasks",)}
        if name == "jira":
            fields = {"sites_url": "{host}/oauth/token/accessible-resources"} | fields
        return VaultServer(name, vendor(name, f"https://{name}.example", fields))


@dataclass
class Connecting(Flow):
    """A portal whose servers work with accounts at ``vendors``."""

    vendors: Vendors = field(default_factory=lambda: Vendors(Clock()))

    @property
    def vault(self) -> Vault:
        return self.auth.vault

    async def leave(self, server: str, browser: httpx.AsyncClient | None = None, *, scope: str = "") -> httpx.Response:
        """Press the button of the connect page; ``scope`` is what an agent's call lacked."""
        browser = browser or self.browser
        page = await browser.get(f"/connect/{server}")
        form = {"form_token": hidden(page, "form_token")} | ({"scope": scope} if scope else {})
        return await browser.post(f"/connect/{server}", data=form)

    async def agree(self, location: str, person: str = "ada") -> str:
        """Agree at the vendor that ``location`` leads to, and return where it sends the browser."""
        parts = urlsplit(location)
        name = parts.netloc.partition(".")[0]
        async with httpx.AsyncClient(
            transport=self.vendors.app(name), base_url=f"{parts.scheme}://{parts.netloc}"
        ) as http:
            page = await http.get(location)
            assert page.status_code == 200, page.text
            answer = await http.post(parts.path, data={"query": hidden(page, "query"), "person": person})
        return answer.headers["location"]

    async def connect(self, server: str, person: str = "ada") -> httpx.Response:
        """Go to the vendor and back."""
        gone = await self.leave(server)
        assert gone.status_code == 303, gone.text
        return await self.browser.get(await self.agree(gone.headers["location"], person))

    async def token(self, **form: Any) -> httpx.Response:
        return await self.agent.post("/token", data=form)

    def replica(self, engine: AsyncEngine, settings: AuthSettings, servers: list[VaultServer]) -> Auth:
        """Return another portal on the same database."""
        vendors = self.vendors
        return Auth(
            settings, engine, servers=servers, clock=self.clock, transport=vendors.transport, resolve=vendors.resolve
        )


async def connecting(
    vendors: Vendors,
    servers: list[VaultServer],
    settings: AuthSettings,
    engine: AsyncEngine,
    clients: list[DeclaredClient] | None = None,
) -> Connecting:
    """Return a started portal with these servers, and its browser signed in as the local person."""
    auth = Auth(
        settings,
        engine,
        clients=clients or [],
        servers=servers,
        summaries={one.name: f"What {one.name} is for." for one in servers},
        clock=vendors.clock,
        transport=vendors.transport,
        resolve=vendors.resolve,
    )
    await auth.start()
    found = Connecting(auth, vendors.clock, application(auth), settings.issuer, vendors=vendors)
    await found.sign_in()
    return found


def code_of(location: str) -> dict[str, str]:
    return query_of(location)
