"""A company's OpenID Connect provider in this process: honest by default, and hostile in whatever a test asks for."""

from __future__ import annotations

import base64
import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from shared_auth import jose, keys
from tests.shared_auth.flow import Clock, query_of

LOGIN = "https://login.example"
CLIENT_ID = "portal at the company"
CLIENT_SECRET = "a secret: with % and +"

Reply = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def half(value: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest()[:16]).rstrip(b"=").decode()


def network(answer: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> httpx.MockTransport:
    """Return a transport whose answers come in parts, as they do from a network."""

    async def parts(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 10_000):
            yield content[start : start + 10_000]

    async def handle(request: httpx.Request) -> httpx.Response:
        found = await answer(request)
        if not found.is_stream_consumed:
            return found
        return httpx.Response(found.status_code, headers=found.headers, content=parts(found.content))

    return httpx.MockTransport(handle)


@dataclass
class Company:
    """The provider. What is in ``claims`` and ``document`` overrides what it would say; None leaves a member out."""

    clock: Clock
    issuer: str = LOGIN
    claims: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    """Whole answers by path, in place of its own."""
    key: Mapping[str, Any] = field(default_factory=keys.generate)
    published: list[Mapping[str, Any]] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)
    sign: Callable[[Mapping[str, Any]], str] | None = None

    def __post_init__(self) -> None:
        self.published.append(keys.public_half(self.key))
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def transport(self) -> httpx.MockTransport:
        return network(self._answer)

    def count(self, path: str) -> int:
        return sum(request.url.path == path for request in self.asked)

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.key = keys.generate()
        self.published.append(keys.public_half(self.key))

    def comes_back(self, location: str, **changes: str | None) -> str:
        """Return where the provider sends the browser that followed ``location``, once its person has signed in."""
        asked = query_of(location)
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer} | changes
        return f"{asked['redirect_uri']}?{urlencode({k: v for k, v in answer.items() if v is not None})}"

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path
        if path in self.replies:
            reply = self.replies[path](request)
            return await reply if inspect.isawaitable(reply) else reply
        if path == "/.well-known/openid-configuration":
            return httpx.Response(200, json=self._discovery())
        if path == "/keys":
            return httpx.Response(200, json={"keys": self.published})
        if path == "/token":
            return self._token(request)
        return httpx.Response(404)

    def _discovery(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/leave",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        } | self.document
        return {name: value for name, value in document.items() if value is not None}

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        asked = self._codes.pop(form["code"], None)
        if asked is None:
            return httpx.Response(400, json={"error": "invalid_grant"})
        made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert (made, form["redirect_uri"]) == (asked["code_challenge"], asked["redirect_uri"])
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "sub": "4711",
            "aud": asked["client_id"],
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "at_hash": half("an access token"),
            "name": "Grace Hopper",
            "email": "grace@example.com",
            "email_verified": True,
            "groups": ["staff", "portal-writers"],
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        token = self.sign(claims) if self.sign else jose.sign(claims, self.key, typ="JWT")
        return httpx.Response(200, json={"access_token": "an access token", "token_type": "Bearer", "id_token": token})
