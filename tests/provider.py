"""A company's OpenID Connect provider on loopback, over real HTTP, that signs in at once whoever the browser says it is.

The browser names its person in the header ``X-Person``: what a real provider asks in pages of its own.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from shared_auth import jose, keys

CLIENT_ID = "portal"
SECRET = "of-the-portal"


class Provider:
    """The provider's pages. ``key`` signs its tokens."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = keys.generate()
        self._codes: dict[str, tuple[str, str]] = {}

    def signed(self, typ: str = "JWT", **claims: object) -> str:
        """Return a token of this provider, made now and good for five minutes, with ``claims``."""
        now = int(time.time())
        return jose.sign({"iss": self.issuer, "iat": now, "exp": now + 300} | claims, self.key, typ=typ)

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/keys", self._keys),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
        ]

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [keys.public_half(self.key)]})

    async def _authorize(self, request: Request) -> Response:
        asked, code = request.query_params, secrets.token_urlsafe(16)
        self._codes[code] = (request.headers["x-person"], asked["nonce"])
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 303)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        person, nonce = self._codes.pop(str(form["code"]))
        groups = ["staff", "operators"] if person.startswith("admin") else ["staff"]
        whose = {"sub": person, "name": f"Name of {person}", "sid": f"sid-of-{person}"}
        token = self.signed(**whose, aud=CLIENT_ID, nonce=nonce, groups=groups)
        return JSONResponse({"access_token": "none", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def serving() -> AsyncIterator[Provider]:
    """Yield a provider that listens on a loopback port, in this event loop."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=2_048)) as listener:
        provider = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        app = Starlette(routes=provider.routes())
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield provider
        finally:
            server.should_exit = True
            await task
