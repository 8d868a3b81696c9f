"""A list of tools and a client become an MCP server. The one place where a server catches what its tools raise."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import mcp_types as t
from mcp.server import CacheHint, Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

from servers._kit.credentials import Credentials, calling, require
from servers._kit.failures import ToolFailure
from servers._kit.tool import ToolSpec
from shared_auth.principal import Principal
from shared_auth.resource import bearer_of

PRINCIPAL_META = "mcp-portal/principal"
ERROR_META = "mcp-portal/error"
LIST_TTL_MS = 60_000

log = logging.getLogger(__name__)


def build(
    name: str,
    *,
    summary: str,
    tools: Sequence[ToolSpec],
    client: Callable[[], AbstractAsyncContextManager[Any]],
    version: str = "0.1.0",
    credentials: Credentials | None = None,
) -> Server[Any]:
    """Return a low-level MCP server whose tools share one ``client``, opened for as long as the server runs.

    With ``credentials``, ``servers._kit.credentials.credential`` answers in every call for whoever makes it.
    """
    by_name = {spec.name: spec for spec in tools}

    @asynccontextmanager
    async def lifespan(_server: Server[Any]) -> AsyncIterator[Any]:
        async with client() as opened:
            yield opened

    async def on_list_tools(
        _ctx: ServerRequestContext[Any], _params: t.PaginatedRequestParams | None
    ) -> t.ListToolsResult:
        return t.ListToolsResult(tools=[spec.definition for spec in tools])

    async def on_call_tool(ctx: ServerRequestContext[Any], params: t.CallToolRequestParams) -> t.CallToolResult:
        spec = by_name.get(params.name)
        if spec is None:
            raise MCPError(t.INVALID_PARAMS, "Unknown tool")
        asking = nullcontext() if credentials is None else calling(credentials, lambda: _caller(ctx))
        with asking:
            return await _call(spec, ctx, params.arguments or {})

    return Server(
        name,
        version=version,
        instructions=summary,
        lifespan=lifespan,
        cache_hints={"tools/list": CacheHint(ttl_ms=LIST_TTL_MS, scope="private")},
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
    )


def principal_of(ctx: ServerRequestContext[Any]) -> Principal:
    """Return who is asking: over HTTP whom the door verified, in process whom the portal hands over.

    The ``_meta`` of an HTTP request is written by the caller and never believed. Raises PermissionError when
    nobody stands behind the request.
    """
    if ctx.request is not None:
        found = ctx.request.scope.get("state", {}).get("principal")
        if isinstance(found, Principal):
            return found
    else:
        handed = (ctx.meta or {}).get(PRINCIPAL_META)
        if isinstance(handed, dict):
            return Principal.from_json(handed)
    raise PermissionError("no principal")


def _caller(ctx: ServerRequestContext[Any]) -> tuple[Principal, str]:
    return principal_of(ctx), "" if ctx.request is None else bearer_of(ctx.request.scope)


async def _call(spec: ToolSpec, ctx: ServerRequestContext[Any], arguments: dict[str, Any]) -> t.CallToolResult:
    try:
        values = spec.parse(arguments)
        values[spec.client_parameter] = ctx.lifespan_context
        if spec.principal_parameter is not None:
            values[spec.principal_parameter] = principal_of(ctx)
        await require(spec.vendor_scopes)
        answer = spec.dump(await spec.handler(**values))
    except ToolFailure as failure:
        return _failed(failure.to_json())
    except Exception:
        # The boundary: what a tool did not foresee stays in our log, under an id that the caller may quote.
        error_id = secrets.token_hex(6)
        log.exception("tool failed", extra={"tool": spec.name, "error_id": error_id})
        return _failed({"kind": "upstream", "message": f"{spec.name} failed unexpectedly (error id {error_id})"})
    # In process the structured value is all that is read; over HTTP the specification asks for the text as well.
    content: list[t.ContentBlock] = []
    if ctx.request is not None:
        content = [t.TextContent(type="text", text=json.dumps(answer, ensure_ascii=False))]
    return t.CallToolResult(content=content, structured_content=answer)


def _failed(error: dict[str, Any]) -> t.CallToolResult:
    text = f"{error['kind']}: {error['message']}"
    return t.CallToolResult(content=[t.TextContent(type="text", text=text)], is_error=True, _meta={ERROR_META: error})
