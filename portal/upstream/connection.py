"""One MCP connection to one upstream, kept open by its own task and opened again after it breaks.

In process (``module``) tools are called directly (portal.upstream.direct) and the verified principal is handed over:
one process is one trust domain (docs/decisions/0008). Over HTTP (``url``) the agent's own token is never sent: a static
one is, or with ``auth = "exchange"`` a server token of whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import httpx2
import mcp_types as t
import structlog
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from portal.sections import Upstream
from portal.settings import ConfigurationError
from portal.upstream.accounts import Accounts, connect_failure, scope_failure
from portal.upstream.changes import Changes
from portal.upstream.direct import Direct
from portal.upstream.exchanged import Exchanged, ServerTokens, asking
from portal.upstream.failures import Kind, UpstreamFailure
from portal.upstream.module import load_server
from portal.upstream.results import is_long, json_of
from shared_auth.principal import Principal

PRINCIPAL_META = "mcp-portal/principal"
CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 630.0
"""Longer than any call may take (settings: 600 s): a call's own deadline ends it, and the connection stays."""
MAX_EVENT_BYTES = 16 * 1024 * 1024
LIST_TIMEOUT_S = 20.0
MAX_PAGES = 50
MAX_TOOLS = 5_000
FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 30.0

log = structlog.get_logger(__name__)

ConnectionState = Literal["connecting", "ready", "down"]


class Connection:
    """The only dialler of one upstream."""

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        *,
        on_change: Callable[[str], None],
        server_tokens: ServerTokens | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.name = name
        self.state: ConnectionState = "connecting"
        self.detail = ""
        self._upstream = upstream
        self._on_change = on_change
        self._accounts = accounts
        self._exchanged = _exchanged(name, upstream, server_tokens)
        self._server = load_server(name, upstream, accounts) if upstream.module is not None else None
        self._direct = Direct(self._server) if self._server is not None else None
        self._client: Client | None = None
        self._changes = Changes(name, on_change)
        self._ready = asyncio.Event()
        self._tried = asyncio.Event()
        self._broken = asyncio.Event()

    @property
    def needs_portal(self) -> bool:
        """Whether the server answers only once this portal does: it asks for the portal's keys first."""
        return self._exchanged is not None

    async def run(self) -> None:
        """Hold the connection open until cancelled. Never raises for what the upstream does."""
        passing = asyncio.create_task(self._changes.pass_on(), name=f"changes-{self.name}")
        try:
            await self._hold()
        finally:
            await _stopped(passing)

    async def _hold(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            self._broken.clear()
            began_s = loop.time()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S) as deadline, self._opened() as client:
                    deadline.reschedule(None)
                    self._client, self.state, self.detail = client, "ready", ""
                    self._ready.set()
                    self._tried.set()
                    self._on_change(self.name)
                    await self._used(client)
            except Exception as error:  # noqa: BLE001 - the boundary to a foreign server: anything may come out of it
                log.warning("upstream.connect_failed", upstream=self.name, error=type(_leaf(error)).__name__)
                _raise_if_cancelled()
            finally:
                self._client = None
                self._ready.clear()
            self.state, self.detail = "down", "cannot be reached"
            self._tried.set()
            self._on_change(self.name)
            if loop.time() - began_s > LAST_BACKOFF_S:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def _used(self, client: Client) -> None:
        """Return when the connection is found broken."""
        listening = asyncio.create_task(self._changes.listen(client), name=f"listen-{self.name}")
        try:
            await self._broken.wait()
        finally:
            await _stopped(listening)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Return whether the upstream answered within ``timeout_s``."""
        with anyio.move_on_after(timeout_s):
            await self._ready.wait()
            return True
        return False

    async def wait_tried(self, timeout_s: float) -> None:
        """Return once the upstream answered, failed to, or ``timeout_s`` are over."""
        with anyio.move_on_after(timeout_s):
            await self._tried.wait()

    async def tools(self) -> list[t.Tool]:
        """Return every tool that the upstream lists. Raises UpstreamFailure."""
        client = self._connected()
        found: list[t.Tool] = []
        cursor: str | None = None
        with self._mapped(), anyio.fail_after(LIST_TIMEOUT_S):
            for _ in range(MAX_PAGES):
                page = await client.list_tools(cursor=cursor)
                found += page.tools
                cursor = page.next_cursor
                if not cursor or len(found) >= MAX_TOOLS:
                    break
        return found[:MAX_TOOLS]

    async def call(self, tool: str, arguments: dict[str, Any], principal: Principal, timeout_s: float) -> Any:
        """Call a tool as ``principal`` and return its answer as JSON. Raises UpstreamFailure."""
        client = self._connected()
        # Not anyio.fail_after, which costs twice as much.
        with self._mapped():
            async with asyncio.timeout(timeout_s):
                answer = await self._answer(client, tool, arguments, principal)
        trusted = self._server is not None
        try:
            if is_long(answer):
                return await asyncio.to_thread(json_of, self.name, answer, trusted=trusted)
            return json_of(self.name, answer, trusted=trusted)
        except UpstreamFailure as failure:
            if failure.kind == "connect":
                raise connect_failure(self.name, self._upstream, self._accounts) from None
            if failure.kind == "scope":
                raise scope_failure(self.name, self._upstream, self._accounts, failure.scopes) from None
            raise

    async def _answer(
        self, client: Client, tool: str, arguments: dict[str, Any], principal: Principal
    ) -> t.CallToolResult:
        if self._direct is not None:
            return await self._direct.call(tool, arguments, {PRINCIPAL_META: principal.to_json()})
        request = t.CallToolRequest(params=t.CallToolRequestParams(name=tool, arguments=arguments))
        with asking(principal):
            # send_request and not call_tool: that one judges every answer against the output schema first, which costs
            # more than the call itself; what leaves the portal is bounded where it enters the program.
            return await client.session.send_request(request, t.CallToolResult)

    def _connected(self) -> Client:
        if self._client is None:
            raise UpstreamFailure(self.name, "unavailable", "the server is down", retryable=True, sent=False)
        return self._client

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise UpstreamFailure(self.name, "timeout", "no answer in time", retryable=True) from None
        except MCPError as error:
            if error.code == t.CONNECTION_CLOSED or self._forgotten(error):
                self._broken.set()
                raise UpstreamFailure(self.name, "unavailable", "the connection broke", retryable=True) from None
            kind: Kind = "invalid" if error.code == t.INVALID_PARAMS else "upstream"
            raise UpstreamFailure(self.name, kind, "the server refused the request") from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, httpx2.HTTPError):
            self._broken.set()
            raise UpstreamFailure(self.name, "unavailable", "the connection broke", retryable=True) from None
        except ValueError:
            raise UpstreamFailure(self.name, "upstream", "the answer is not MCP") from None

    def _forgotten(self, error: MCPError) -> bool:
        """Say whether the server no longer knows our session, as after its restart: only a new one helps then."""
        client = self._client
        return (
            error.code == t.INVALID_REQUEST
            and self._server is None
            and client is not None
            and client.protocol_version not in MODERN_PROTOCOL_VERSIONS
        )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Client]:
        if self._server is not None:
            async with Client(self._server, cache=None, message_handler=self._heard) as client:
                yield client
            return
        token = self._upstream.token
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        # The gate bounds what is in flight; a pool that is full would fail the connection, and with it every call.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        async with httpx2.AsyncClient(
            headers=headers, timeout=timeout, limits=limits, trust_env=False, auth=self._exchanged
        ) as http:
            transport = streamable_http_client(
                str(self._upstream.url), http_client=http, max_sse_event_size=MAX_EVENT_BYTES
            )
            async with Client(transport, cache=None, message_handler=self._heard) as client:
                yield client

    async def _heard(self, message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            self._changes.told()


def _raise_if_cancelled() -> None:
    """Raise what a task group drops: one that fails in the moment in which it is cancelled raises its failure alone."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _exchanged(name: str, upstream: Upstream, server_tokens: ServerTokens | None) -> Exchanged | None:
    if upstream.auth != "exchange":
        return None
    if server_tokens is None:
        raise ConfigurationError(f"upstreams.{name}.auth: there is nobody here to exchange tokens with")
    return Exchanged(server_tokens, str(upstream.url))


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
