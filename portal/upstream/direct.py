"""Calls of tools of a server in this process, without the protocol around each.

Client and server of the SDK judge and copy every request and answer several times over, each for the other's sake: in
one process that costs more than the portal's own steps. Here a call goes to the server's own handler, through its
middleware, in a context as the SDK makes it; arguments and answer are copied, and the answer is judged, once.

What is not there has no use in a call of ours: a server cannot ask its caller anything, and nobody listens for its
progress.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
import mcp_types as t
import structlog
from mcp.server import Server, ServerRequestContext
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware
from mcp.server.session import ServerSession
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.transport_context import TransportContext
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from portal.tracing import heard

METHOD = "tools/call"

log = structlog.get_logger(__name__)


class Direct:
    """The tools of one server, called while the SDK's client holds it open: that opens what the server lives in."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._opens = server.lifespan
        server.lifespan = self._lifespan
        self._state: Any = None
        self._middleware: list[ServerMiddleware[Any]] = []
        self._ids = itertools.count(1)
        connection = Connection.from_envelope(LATEST_MODERN_VERSION, None, None)
        self._session = ServerSession(_NoWayBack(), connection)

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> t.CallToolResult:
        """Return what a tool answers. Raises MCPError when the server refuses, ValueError when it is no answer."""
        entry = self._server.get_request_handler(METHOD)
        if entry is None:
            raise MCPError(t.METHOD_NOT_FOUND, "Method not found")
        handed = cast("t.RequestParamsMeta", dict(meta))
        context = ServerRequestContext(
            session=self._session,
            lifespan_context=self._state,
            protocol_version=LATEST_MODERN_VERSION,
            method=METHOD,
            params={"name": name, "arguments": to_jsonable_python(arguments), "_meta": handed},
            request_id=next(self._ids),
            meta=handed,
        )

        async def handled(ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
            result = await entry.handler(ctx, entry.params_type.model_validate(ctx.params, by_name=False))
            if isinstance(result, t.ErrorData):
                raise MCPError.from_error_data(result)
            return result

        call: CallNext = handled
        for middleware in self._middleware:
            call = partial(_around, middleware, call)
        try:
            result = await call(context)
        except MCPError:
            raise
        except ValidationError:
            raise MCPError(t.INVALID_PARAMS, "Invalid request parameters") from None
        except Exception as error:  # noqa: BLE001 - the boundary to a foreign server: anything may come out of it
            # A TimeoutError of its own, too, is not ours.
            log.warning("upstream.handler_broke", server=self._server.name, error=type(error).__name__)
            raise MCPError(t.INTERNAL_ERROR, "Internal server error") from None
        plain = result.model_dump(by_alias=True, mode="json") if isinstance(result, t.CallToolResult) else result
        return t.CallToolResult.model_validate(plain, by_name=False)

    @asynccontextmanager
    async def _lifespan(self, server: Server[Any]) -> AsyncIterator[Any]:
        async with self._opens(server) as state:
            self._state = state
            self._middleware = heard(server.middleware)[::-1]
            yield state


def _around(
    middleware: ServerMiddleware[Any], call_next: CallNext, ctx: ServerRequestContext[Any, Any]
) -> Awaitable[HandlerResult]:
    return middleware(ctx, call_next)


class _NoWayBack:
    """What a server has of its caller: nothing that answers."""

    transport = TransportContext(kind="direct", can_send_request=False)
    can_send_request = False
    request_id = None
    message_metadata = None

    def __init__(self) -> None:
        self.cancel_requested = anyio.Event()

    async def send_raw_request(
        self, method: str, _params: Mapping[str, Any] | None, _opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, _method: str, _params: Mapping[str, Any] | None, _opts: CallOptions | None = None) -> None:
        """Drop it: nobody listens."""

    async def progress(self, _progress: float, _total: float | None = None, _message: str | None = None) -> None:
        """Drop it: nobody listens."""
