"""A whole portal in this process, asked in bytes: with everything that an operator can switch on, in either way to sign in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import pytest
from structlog.testing import capture_logs

from portal.app import Portal, open_portal
from portal.sections import (
    AuthClient,
    AuthSection,
    DocumentsSection,
    OidcSection,
    Person,
    PolicySection,
    SandboxSection,
    Upstream,
    VendorSection,
)
from portal.settings import PortalSettings
from servers._kit.oauth_emulator import CLIENT_ID as PORTAL_ID
from servers._kit.oauth_emulator import CLIENT_SECRET as PORTAL_SECRET
from shared_auth import jose, opaque
from shared_auth.principal import Principal
from shared_auth.service import Auth
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import CALLBACK, Clock, hidden, query_of
from tests.shared_auth.headless import KEY, SECRET
from tests.shared_auth.test_id_jag import assertion
from tests.shared_auth.test_logout import logout_token
from tests.shared_auth.vendors import Connecting, Vendors

T = TypeVar("T")

CANARY = "zqx7k"
"""Where this comes back, something that was sent came back."""
HOSTILE = f"{CANARY}<\"'&>{CANARY}"
"""Where this comes back as it is, a page can be written by whoever sent it. Agents and people are called so here."""

ADD = f"import notes\nawait notes.add_note(title={HOSTILE!r}, text='.')"
"""What waits for a person's yes."""

WEB = "https://app.example/callback"
HOST = b"127.0.0.1:8300"
DOCUMENT = "https://agent.example/oauth/client.json"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
OPERATORS = "portal-writers"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASKING = '@id("asks") @ask("Notes are read by everybody.") permit (principal, action == Action::"write", resource);'
SITE = "11111111-aaaa"
WAYS = ("local", "provider")
PACE_S = 2.0
"""What passes between two requests, so that not every one is too fast."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: str) -> str:
        found = [value for known, value in self.headers if known.lower() == name.encode()]
        return b", ".join(found).decode("latin-1")


GONE = Answer(499, (), b"")
"""Nothing was answered: whoever asked went away."""


@dataclass
class Asked:
    """A request in bytes. ``body`` comes in pieces; ``broken`` goes away in the middle of it."""

    method: str = "GET"
    path: str = "/"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)
    broken: bool = False


def settings(folder: Path, way: str) -> PortalSettings:
    public = {name: KEY[name] for name in ("kty", "crv", "x", "y", "kid", "use", "alg")}
    clients = {
        "build": AuthClient(grant_types=["client_credentials"], secret_hash=opaque.digest(SECRET)),
        "nightly": AuthClient(grant_types=["client_credentials"], jwks=[public]),
        "editor": AuthClient(grant_types=["authorization_code", "refresh_token"], redirect_uris=[CALLBACK]),
        "terminal": AuthClient(grant_types=[DEVICE, "refresh_token"]),
        "boards-server": AuthClient(
            grant_types=[EXCHANGE],
            server="boards",
            auth_method="client_secret_post",
            secret_hash=opaque.digest(SECRET),
        ),
        "monitor": AuthClient(introspect=True, auth_method="client_secret_post", secret_hash=opaque.digest(SECRET)),
    }
    if way == "provider":
        clients["desk"] = AuthClient(
            grant_types=[JWT_BEARER], auth_method="client_secret_post", secret_hash=opaque.digest(SECRET)
        )
    seeded = {DOCUMENT: {"client_name": "Published agent", "redirect_uris": ["http://localhost/callback"]}}
    provider = OidcSection(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, identity_assertions=True)
    policy = folder / "asking.cedar"
    policy.write_text(ASKING, encoding="utf-8")
    jira = VendorSection(
        preset="jira",
        host="https://jira.example",
        client_id=PORTAL_ID,
        client_secret=PORTAL_SECRET,
        sites_url="{host}/oauth/token/accessible-resources",
    )
    return PortalSettings(
        data_dir=folder,
        policy=PolicySection(files=[policy]),
        sandbox=SandboxSection(jail="degrade", min_workers=1, engine="monty"),
        auth=AuthSection(
            clients=clients,
            local_person=Person(name=HOSTILE, email=HOSTILE, groups=[OPERATORS]),
            admin_groups=[OPERATORS],
            client_documents=DocumentsSection(enabled=True, fetch=False, seeded=seeded),
            oidc=None if way == "local" else provider,
        ),
        upstreams={
            "notes": Upstream(module="servers._template", summary=HOSTILE),
            "boards": Upstream(module="servers._template", summary=HOSTILE, credential="person", oauth=jira),
        },
    )


class Standing:
    """A portal that goes on between requests, and what a person and an agent hold at it."""

    def __init__(self, portal: Portal, company: Company, vendors: Vendors, clock: Clock) -> None:
        self.portal = portal
        self.company = company
        self.vendors = vendors
        self.clock = clock
        self.issuer = portal.settings.issuer
        self.held: dict[str, str] = {}
        self._agent: Principal | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer of the application. Raises whatever comes out of it."""
        self.clock.advance(PACE_S)
        sent: list[Any] = []
        pieces = list(asked.body) or [b""]

        async def receive() -> dict[str, Any]:
            if pieces:
                return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces) or asked.broken}
            if not asked.broken:
                await asyncio.Event().wait()  # the client stays until it is answered
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": asked.method,
            "scheme": "http",
            "path": asked.path,
            "raw_path": asked.path.encode("utf-8", "surrogatepass"),
            "query_string": asked.query,
            "root_path": "",
            "headers": asked.headers,
            "client": ("127.0.0.1", 4000),
            "server": ("127.0.0.1", 8300),
        }
        async with asyncio.timeout(20):
            await self.portal.app(scope, receive, send)
        if asked.broken and not sent:
            return GONE
        start = next(message for message in sent if message["type"] == "http.response.start")
        body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        return Answer(start["status"], tuple(start["headers"]), body)

    async def renew(self) -> None:
        """Take everything anew that a person and an agent can hold: some of it is spent by being used."""
        self.clock.advance(120)
        app: Any = self.portal.app
        flow = Connecting(self.portal.auth, self.clock, app, self.issuer, vendors=self.vendors)
        async with flow.agent, flow.browser:
            client = (await flow.register(client_name=HOSTILE))["client_id"]
            web = (await flow.register(client_name=HOSTILE, redirect_uris=[WEB]))["client_id"]
            held = {"client": client, "web": web} | await (
                self._local(flow) if self.portal.settings.local_sign_in else self._abroad(flow)
            )
            tokens = (await flow.redeem(client, await flow.code(client))).json()
            held |= {"access": tokens["access_token"], "refresh": tokens["refresh_token"]}
            held["code"] = await flow.code(client)
            held["consent"] = hidden(await flow.authorize(client), "consent")
            started = (await flow.agent.post("/device_authorization", data={"client_id": "terminal"})).json()
            held |= {"device": started["device_code"], "user_code": started["user_code"]}
            page = await flow.browser.post("/device", data={"user_code": started["user_code"]})
            held["device_consent"] = hidden(page, "consent")
            held |= await self._connected(flow) | await self._waiting(flow, tokens["access_token"])
            held["access_form"] = hidden(await flow.browser.get("/access"), "form_token")
            held["cookies"] = "; ".join(f"{one.name}={one.value}" for one in flow.browser.cookies.jar)
        held["logout"] = logout_token(self.company, sub="nobody-here")
        held["assertion"] = assertion(self.company)
        self.held = held

    async def _connected(self, flow: Connecting) -> dict[str, str]:
        """Connect an account, and leave for the vendor a second time: that one stays open."""
        assert (await flow.connect("boards")).status_code == 303
        form = hidden(await flow.browser.get("/connections"), "form_token")
        back = await flow.agree((await flow.leave("boards")).headers["location"])
        return {"form_token": form, "way": query_of(back)["state"], "vendor_code": query_of(back)["code"]}

    async def _waiting(self, flow: Connecting, access: str) -> dict[str, str]:
        """Have a program wait for the person, and one keep a result. Only so many may wait: the last one first."""
        programs = self.portal.programs
        claims = jose.claimed(access)
        principal = Principal(self.issuer, claims["sub"], claims["client_id"], claims["gid"], frozenset({"mcp"}))
        if "pause" in self.held:
            page = await flow.browser.get(f"/programs/{self.held['pause']}")
            if 'value="refuse"' in page.text:
                form = {"form_token": hidden(page, "form_token"), "decision": "refuse"}
                await flow.browser.post(f"/programs/{self.held['pause']}", data=form)
            assert self._agent is not None
            await programs.resume(self._agent, self.held["pause"])
        self._agent = principal
        found = re.search(r'resume="([0-9a-f]+)"', (await programs.execute(principal, ADD)).text)
        kept = re.search(r"r_\w+", (await programs.execute(principal, "save(1)")).text)
        assert found is not None
        assert kept is not None
        asked = await flow.browser.get(f"/programs/{found[1]}")
        return {"pause": found[1], "pause_form": hidden(asked, "form_token"), "result": kept[0]}

    async def _local(self, flow: Connecting) -> dict[str, str]:
        await flow.sign_in()
        return {"link": (await flow.auth.sign_in_link()).partition("code=")[2], "state": "mpo_none", "their_code": "x"}

    async def _abroad(self, flow: Connecting) -> dict[str, str]:
        left = (await flow.browser.post("/sign-in")).headers["location"]
        assert (await flow.browser.get(self.company.comes_back(left))).status_code == 303
        left = (await flow.browser.post("/sign-in")).headers["location"]
        back = self.company.comes_back(left)  # this one stays open
        return {"link": "mpl_none", "state": query_of(back)["state"], "their_code": query_of(back)["code"]}


class Faults(logging.Handler):
    """Everything that is logged as an error, whoever logs it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yield what is logged as an error by either kind of logger."""
    faults = Faults()
    root = logging.getLogger()
    root.addHandler(faults)
    try:
        with capture_logs() as events:
            yield faults.found
            faults.found += [str(event) for event in events if event["log_level"] in {"error", "critical"}]
    finally:
        root.removeHandler(faults)


@asynccontextmanager
async def opened(folder: Path, way: str) -> AsyncIterator[Standing]:
    """Yield a portal whose provider, names and clock are ours."""
    clock = Clock()
    company = Company(clock, claims={"name": HOSTILE, "email": HOSTILE})
    vendors = Vendors(clock)
    vendors.add("jira").change(site_list=({"id": SITE, "name": HOSTILE}, {"id": "2", "name": HOSTILE, "url": HOSTILE}))

    async def elsewhere(request: httpx.Request) -> httpx.Response:
        there = company if request.headers["host"] == "login.example" else vendors
        return await there.transport.handle_async_request(request)

    with pytest.MonkeyPatch.context() as patch:
        transport = httpx.MockTransport(elsewhere)
        made = functools.partial(Auth, clock=clock, transport=transport, resolve=vendors.resolve)
        patch.setattr("portal.app.Auth", made)
        async with open_portal(settings(folder, way)) as portal:
            portal.programs._resume_wait_s = 0.0
            standing = Standing(portal, company, vendors, clock)
            await standing.renew()
            yield standing


class Stage:
    """Keeps a portal in a loop of its own, so that a test that is not asynchronous can ask it again and again."""

    def __init__(self, folder: Path, way: str) -> None:
        self._folder = folder
        self._way = way
        self._runner = asyncio.Runner()
        self._done = asyncio.Event()
        self.standing: Standing

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._runner.run(self._begin())
        return self

    def __exit__(self, *exc: object) -> None:
        async def end() -> None:
            self._done.set()
            await self._task

        self._runner.run(end())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _begin(self) -> None:
        ready = asyncio.Event()

        async def hold() -> None:
            async with opened(self._folder, self._way) as self.standing:
                ready.set()
                await self._done.wait()

        self._task = asyncio.create_task(hold())
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await self._task
