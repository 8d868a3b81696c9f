"""Upstreams for tests: a low-level MCP server whose behaviour a test writes, in process or on a loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as t
import uvicorn
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from starlette.types import ASGIApp, Receive, Scope, Send

from portal.sections import Upstream
from portal.upstream.connection import Connection
from shared_auth.principal import Principal
from tests.upstream.made.server import MADE

ALICE = Principal("https://id.example", "alice", "agent-1", groups=frozenset({"staff"}), name="Alice")

Call = Callable[[ServerRequestContext[Any], t.CallToolRequestParams], Awaitable[t.CallToolResult]]
Listing = Callable[[ServerRequestContext[Any], t.PaginatedRequestParams | None], Awaitable[t.ListToolsResult]]


def tool(name: str) -> t.Tool:
    """Return a tool that reads and takes anything."""
    return t.Tool(
        name=name, input_schema={"type": "object"}, annotations=t.ToolAnnotations(read_only_hint=True), description=name
    )


def text(value: str, **more: Any) -> t.CallToolResult:
    """Return an answer of one text."""
    return t.CallToolResult(content=[t.TextContent(type="text", text=value)], **more)


async def one_tool(_ctx: ServerRequestContext[Any], _params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
    return t.ListToolsResult(tools=[tool("get_one")])


async def answer_one(_ctx: ServerRequestContext[Any], _params: t.CallToolRequestParams) -> t.CallToolResult:
    return text("1")


class _Announcing(Server[Any]):
    """Says in the older protocol too that its list of tools may change."""

    def create_initialization_options(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(tools_changed=True), **kwargs)


def server(call: Call = answer_one, listing: Listing = one_tool, **more: Any) -> Server[Any]:
    """Return a low-level server."""
    return _Announcing("made", version="1", on_call_tool=call, on_list_tools=listing, **more)


def telling() -> tuple[Server[Any], InMemorySubscriptionBus, ListenHandler]:
    """Return a server of 2026-07-28 that tells of changes, where to publish them, and what holds the streams."""
    bus = InMemorySubscriptionBus()
    handler = ListenHandler(bus)
    return server(on_subscriptions_listen=handler), bus, handler


class Changed:
    """Counts what a connection says of changes; ``reached`` waits for a count."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()

    def __call__(self, _name: str) -> None:
        self.count += 1
        self._more.set()

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def held(connection: Connection) -> AsyncIterator[Connection]:
    """Hold a connection open, and wait until its upstream answers."""
    task = asyncio.create_task(connection.run())
    try:
        assert await connection.wait_ready(10)
        yield connection
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def in_process(made: Server[Any], changed: Changed | None = None) -> AsyncIterator[Connection]:
    """Yield a connection to ``made`` in this process."""
    name = f"made_{id(made)}"
    MADE[name] = made
    upstream = Upstream(module="tests.upstream.made", settings={"name": name})
    try:
        async with held(Connection("made", upstream, on_change=changed or Changed())) as connection:
            yield connection
    finally:
        del MADE[name]


class Seen:
    """Notes the headers of every request on their way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await self._app(scope, receive, send)


def listener(port: int = 0) -> socket.socket:
    """Return a listening loopback socket; connections queue in it until somebody serves them."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    bound.listen(128)
    return bound


class Remote:
    """An application on a loopback port. ``die`` closes everything at once, as a killed process does."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self._server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}/mcp"

    def die(self) -> None:
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


@asynccontextmanager
async def on_port(app: ASGIApp, port: int = 0) -> AsyncIterator[Remote]:
    """Serve an application on a loopback port, in this event loop."""
    with listener(port) as bound:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=0, access_log=False)
        serving = _Quiet(config)
        task = asyncio.create_task(serving.serve(sockets=[bound]))
        remote = Remote(serving, bound.getsockname()[1])
        try:
            yield remote
        finally:
            serving.should_exit = True
            remote.die()
            await task


class _Quiet(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Leave the signals to pytest."""


@asynccontextmanager
async def over_http(made: Server[Any], *, stateless: bool = True, port: int = 0) -> AsyncIterator[tuple[Remote, Seen]]:
    """Serve an MCP server on a loopback port."""
    manager = StreamableHTTPSessionManager(app=made, stateless=stateless)
    seen = Seen(StreamableHTTPASGIApp(manager))
    async with manager.run(), on_port(seen, port) as remote:
        yield remote, seen


def remote_connection(url: str, changed: Changed | None = None, **more: Any) -> Connection:
    """Return a connection to an MCP endpoint."""
    return Connection("far", Upstream(url=url, **more), on_change=changed or Changed())
