"""Cancellation for clients of the older protocol, which cancel with a request of its own instead of hanging up.

A stateless server cannot tell which request such a notification means: ids are unique in a session only. So
``initialize`` hands out a session id that is a name and nothing more: it opens nothing, nothing is kept for it, any
replica answers requests with or without it. Together with the principal it tells whose request 7 is to end. A
notification that reaches another replica than its request does nothing, as the protocol allows; hanging up always
works.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import anyio
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared_auth.resource import principal_of

SESSION = b"mcp-session-id"
VERSION = b"mcp-protocol-version"
SESSION_BYTES = 18
MAX_ID_CHARS = 100


@dataclass(frozen=True, slots=True)
class _Call:
    """Whose request it is, in which of their sessions, and its id with its JSON type (1 is not "1")."""

    issuer: str
    subject: str
    client_id: str
    grant_id: str
    session: bytes
    request: str


class Cancelling:
    """ASGI middleware of the endpoint, behind the door."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._running: dict[_Call, anyio.CancelScope] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages, body = await self._read(receive)
        if messages[-1]["type"] == "http.disconnect":
            return  # gone in the middle of its request: nobody is there to be answered
        again = _replayed(messages, receive)
        headers = dict(scope["headers"])
        version = headers.get(VERSION, b"").decode("latin-1")
        if version and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._app(scope, again, send)
            return
        asked = _asked(body)
        method = asked.get("method")
        session = headers.get(SESSION, b"")
        if method == "initialize":
            await self._app(scope, again, _named(send))
        elif method == "tools/call" and session:
            await self._cancellable(_call(scope, session, asked.get("id")), scope, again, send)
        else:
            if method == "notifications/cancelled" and session:
                self._cancel(scope, session, asked.get("params"))
            await self._app(scope, again, send)

    def _cancel(self, scope: Scope, session: bytes, params: Any) -> None:
        running = (
            self._running.get(_call(scope, session, params.get("requestId"))) if isinstance(params, dict) else None
        )
        if running is not None:
            running.cancel()

    async def _cancellable(self, call: _Call, scope: Scope, receive: Receive, send: Send) -> None:
        begun = ended = False

        async def noted(message: Message) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        with anyio.CancelScope() as running:
            # A second request of the same id is the client's fault; the first stays the one that can be cancelled.
            mine = self._running.setdefault(call, running) is running
            try:
                await self._app(scope, receive, noted)
            finally:
                if mine:
                    del self._running[call]
        if running.cancelled_caught and not ended:
            # No response is owed (MCP 2025-11-25, Cancellation); the exchange must still end.
            if not begun:
                await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _read(self, receive: Receive) -> tuple[list[Message], bytes]:
        """Return the messages read and the body, b"" for one that is over the limit: what is behind refuses it."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or size > self._max_bytes or not message.get("more_body"):
                break
        whole = size <= self._max_bytes
        return messages, b"".join(m.get("body", b"") for m in messages) if whole else b""


def _asked(body: bytes) -> dict[str, Any]:
    """Return what a body asks, {} for one that is none of our business."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _call(scope: Scope, session: bytes, request: Any) -> _Call:
    principal = principal_of(scope)
    name = f"{type(request).__name__}:{str(request)[:MAX_ID_CHARS]}"
    return _Call(principal.issuer, principal.subject, principal.client_id, principal.grant_id, session, name)


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    left = iter(messages)

    async def again() -> Message:
        return next(left, None) or await receive()

    return again


def _named(send: Send) -> Send:
    async def named(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            session = secrets.token_urlsafe(SESSION_BYTES).encode()
            message = {**message, "headers": [*message.get("headers", []), (SESSION, session)]}
        await send(message)

    return named
