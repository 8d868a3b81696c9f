"""One auth flow to test against: an application of Auth's routes and a door, a clock that stands still, and a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared_auth.resource import principal_of
from shared_auth.sealing import Seal
from shared_auth.service import Auth

ISSUER = "http://127.0.0.1:8300"
RESOURCE = f"{ISSUER}/mcp"
CALLBACK = "http://127.0.0.1:5000/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

BOTH = pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
"""Runs a test on both databases."""


class Clock:
    """Epoch seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


async def protected(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer who was let in and which headers came along."""
    request = Request(scope, receive)
    await JSONResponse({"principal": principal_of(scope).to_json(), "headers": list(request.headers)})(
        scope, receive, send
    )


def application(auth: Auth) -> Starlette:
    return Starlette(routes=[*auth.routes(), Route("/mcp", auth.door(protected))])


def hidden(page: httpx.Response, name: str) -> str:
    """Return the value of a hidden form field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return html.unescape(found.group(1))


def page_cookie(path: str, *, until: float = 1_900_000_000, row: str = "way back", secret: bytes = b"s" * 32) -> str:
    """Return the cookie of who came for ``path``, as the portal, or whoever has its secret, would make it."""
    return base64.urlsafe_b64encode(Seal(secret).seal(json.dumps([path, until]).encode(), row=row)).decode()


def query_of(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


def without(values: dict[str, Any]) -> dict[str, Any]:
    """Drop the parameters that a test set to None."""
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class Flow:
    """A portal's auth flow, one agent and one browser."""

    auth: Auth
    clock: Clock
    app: Starlette
    issuer: str = ISSUER
    agent: httpx.AsyncClient = field(init=False)
    browser: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.agent = self.client()
        self.browser = self.client()

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 4000))
        return httpx.AsyncClient(transport=transport, base_url=self.issuer)

    async def register(self, **metadata: Any) -> dict[str, Any]:
        wanted = {
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
        answer = await self.agent.post("/register", json=without(wanted | metadata))
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def sign_in(self, browser: httpx.AsyncClient | None = None) -> httpx.Response:
        browser = browser or self.browser
        page = await browser.get(await self.auth.sign_in_link())
        return await browser.post("/sign-in", data={"code": hidden(page, "code")})

    def request(self, client_id: str, **changes: Any) -> dict[str, Any]:
        parameters = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "state": "a state",
            "scope": "mcp",
            "resource": f"{self.issuer}/mcp",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return without(parameters | changes)

    async def authorize(self, client_id: str, **changes: Any) -> httpx.Response:
        return await self.browser.get("/authorize", params=self.request(client_id, **changes))

    async def decide(self, page: httpx.Response, decision: str = "allow", **headers: str) -> httpx.Response:
        form = {"consent": hidden(page, "consent"), "decision": decision}
        return await self.browser.post("/consent", data=form, headers=headers)

    async def code(self, client_id: str, **changes: Any) -> str:
        """Return a code for a client, from a browser that is already signed in."""
        answer = await self.decide(await self.authorize(client_id, **changes))
        assert answer.status_code == 303, answer.text
        return query_of(answer.headers["location"])["code"]

    async def token(self, **form: Any) -> httpx.Response:
        return await self.agent.post("/token", data=without(form))

    async def redeem(self, client_id: str, code: str, **changes: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "resource": f"{self.issuer}/mcp",
        }
        return await self.token(**(form | changes))

    async def refresh(self, client_id: str, refresh_token: str, **changes: Any) -> httpx.Response:
        form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
        return await self.token(**(form | changes))

    async def login(self, **metadata: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a registered client and its tokens."""
        client = await self.register(**metadata)
        await self.sign_in()
        answer = await self.redeem(client["client_id"], await self.code(client["client_id"]))
        assert answer.status_code == 200, answer.text
        return client, answer.json()

    async def call(self, token: str) -> httpx.Response:
        return await self.agent.get("/mcp", headers={"Authorization": f"Bearer {token}"})


def refused(answer: httpx.Response, status: int, error: str) -> bool:
    """Say whether ``answer`` is an OAuth error in its full form."""
    body = answer.json()
    return (answer.status_code, body["error"], sorted(body), answer.headers["cache-control"]) == (
        status,
        error,
        ["error", "error_description"],
        "no-store",
    )
