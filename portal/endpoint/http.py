"""How the endpoint stands in HTTP: which hosts and origins, which methods, how large a body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from portal.endpoint.cancelling import Cancelling


class Endpoint:
    """An ASGI application for ``/mcp``. Stateless: any replica answers any request."""

    def __init__(self, server: Server[Any], *, security: TransportSecuritySettings, max_request_bytes: int) -> None:
        self._manager = StreamableHTTPSessionManager(
            app=server,
            stateless=True,
            security_settings=security,
            max_request_body_size=max_request_bytes,
        )
        self._app = Cancelling(StreamableHTTPASGIApp(self._manager), max_bytes=max_request_bytes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enter once, for the life of the application."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # The SDK holds a stateless GET open for ever: a handful of clients would exhaust the server. With no
            # server-initiated messages there is nothing to stream (MCP 2025-11-25, Listening for Messages: 405).
            response = PlainTextResponse("This endpoint takes POST only.", 405, headers={"Allow": "POST"})
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


class HostGuard:
    """Refuses foreign Host headers on every path but ``open_paths``, and foreign Origins on ``paths``, before anything
    else looks. What is open must tell nothing: a health probe comes by address.

    A web page that rebinds its own name to our address (DNS rebinding) can then reach nothing here, not even a 401.
    """

    def __init__(
        self, app: ASGIApp, *, security: TransportSecuritySettings, paths: Sequence[str], open_paths: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._security = TransportSecurityMiddleware(security)
        self._paths = tuple(paths)
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            headers = scope["headers"]
            if not scope["path"].startswith(self._paths):
                headers = [(name, value) for name, value in headers if name != b"origin"]
            refusal = await self._security.validate_request(Request({**scope, "headers": headers}), is_post=False)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class FieldValues:
    """Gives header values without the white space around them, which is not part of them (RFC 9110 section 5.5).

    uvicorn's parser leaves what trails: a value that a proxy padded would then differ from the one in the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(value[-1:] in {b" ", b"\t"} for _, value in scope["headers"]):
            scope = {**scope, "headers": [(name, value.strip(b" \t")) for name, value in scope["headers"]]}
        await self._app(scope, receive, send)
