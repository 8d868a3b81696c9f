"""The MCP server object: two handlers, each the boundary where nothing but our own words goes out."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import mcp_types as t
import structlog
from mcp.server import CacheHint, Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from portal.endpoint import attachments, resources
from portal.endpoint.asking import answer_in, asking
from portal.endpoint.tools import BadArguments, ExecuteArguments, SearchArguments, definitions, parse
from portal.programs.notice import Answer, Notice
from portal.programs.presenting import Attachment
from portal.tracing import heard
from shared_auth.principal import Principal
from shared_auth.resource import principal_of

log = structlog.get_logger(__name__)

INSTRUCTIONS = (
    "One endpoint for the company's systems: `search` finds tools, `execute` runs a Python program over them."
)
LIST_TTL_MS = 3_600_000

Progress = Callable[[int, str], Awaitable[None]]


class Reply(Protocol):
    """What a tool answers: one text, files beside it, whether it reports a failure, and where a person decides on whom
    it waits.
    """

    @property
    def text(self) -> str: ...
    @property
    def is_error(self) -> bool: ...
    @property
    def attachments(self) -> Sequence[Attachment]: ...
    @property
    def pause(self) -> Notice | None: ...


class Searcher(Protocol):
    """Answers ``search``."""

    async def search(
        self, principal: Principal, queries: list[str], *, server: str | None, limit: int | None
    ) -> str: ...


class Executor(Protocol):
    """Answers ``execute``. Cancelling it kills the program."""

    async def execute(self, principal: Principal, code: str, progress: Progress | None = None) -> Reply: ...

    async def resume(self, principal: Principal, pause_id: str, progress: Progress | None = None) -> Reply: ...

    async def answered(
        self, principal: Principal, carried: str, request: str, answer: Answer, progress: Progress | None = None
    ) -> Reply: ...


def build(searcher: Searcher, executor: Executor, reader: resources.Reader, *, version: str) -> Server[Any]:
    """Return the low-level server with exactly ``search`` and ``execute``, and kept results as resources."""

    async def on_list_tools(
        _ctx: ServerRequestContext[Any], _params: t.PaginatedRequestParams | None
    ) -> t.ListToolsResult:
        return t.ListToolsResult(tools=definitions())

    async def on_call_tool(
        ctx: ServerRequestContext[Any], params: t.CallToolRequestParams
    ) -> t.CallToolResult | t.InputRequiredResult:
        if params.name not in {"search", "execute"}:
            raise MCPError(t.INVALID_PARAMS, "Unknown tool; this server has search and execute")
        try:
            principal = principal_of(ctx.request.scope if ctx.request is not None else {})
            if params.name == "search":
                wanted = parse(SearchArguments, params.arguments)
                text = await searcher.search(principal, wanted.queries, server=wanted.server, limit=wanted.limit)
                return _only_text(text)
            program = parse(ExecuteArguments, params.arguments)
            request, progress = program.request, _progress(ctx)
            if params.request_state is not None:
                # The client has shown our notice and asks again: never run the same code for a second time.
                answer = answer_in(params.input_responses)
                return _text(await executor.answered(principal, params.request_state, request, answer, progress))
            if program.resume is not None:
                reply = await executor.resume(principal, request, progress)
            else:
                reply = await executor.execute(principal, request, progress)
            return _asking(ctx, reply) or _text(reply)
        except BadArguments as bad:
            return _only_text(str(bad), is_error=True)
        except Exception:
            # The SDK sends str(exception) to clients of the older protocol: nothing unforeseen may reach it.
            error_id = secrets.token_hex(6)
            log.exception("endpoint.failed", tool=params.name, error_id=error_id)
            return _only_text(
                f"The portal failed; nothing is wrong with your request. Error id {error_id}.", is_error=True
            )

    server: Server[Any] = Server(
        "mcp-portal",
        version=version,
        instructions=INSTRUCTIONS,
        cache_hints={"tools/list": CacheHint(ttl_ms=LIST_TTL_MS, scope="private"), **resources.HINTS},
        # Else the SDK lists the tools for every call, to look for headers that mirror arguments; ours have none.
        get_tool_input_schema=lambda _name: None,
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
        **resources.handlers(reader),
    )
    server.middleware[:] = heard(server.middleware)
    return server


def _progress(ctx: ServerRequestContext[Any]) -> Progress | None:
    if (ctx.meta or {}).get("progress_token") is None:  # 0 is a token too
        return None

    async def report(done: int, message: str) -> None:
        await ctx.session.report_progress(done, None, message)

    return report


def _asking(ctx: ServerRequestContext[Any], reply: Reply) -> t.InputRequiredResult | None:
    """Return what lets the client show its person where to decide, if it said that it can."""
    if reply.pause is None or ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return None
    return asking(reply.pause, ctx.session.client_capabilities)


def _text(reply: Reply) -> t.CallToolResult:
    content = [t.TextContent(type="text", text=reply.text), *map(attachments.block, reply.attachments)]
    return t.CallToolResult(content=content, is_error=reply.is_error)


def _only_text(text: str, *, is_error: bool = False) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(type="text", text=text)], is_error=is_error)
