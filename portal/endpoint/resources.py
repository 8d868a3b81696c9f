"""Kept results as resources of the endpoint: listed and read by the person whose programs made them."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import mcp_types as t
import structlog
from mcp.server import CacheHint, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from portal.audit.audit import AuditUnavailable
from portal.programs.handles import Kept, NoSuchResult, ResultsUnavailable
from portal.programs.presenting import URI
from portal.programs.reading import BadCursor, Part
from shared_auth.principal import Principal
from shared_auth.resource import principal_of

NOT_FOUND = -32002
"""What the older protocol calls a resource that is not there (MCP 2025-11-25, Resources, Error Handling)."""

MAX_URI_CHARS = 200

TEMPLATE = t.ResourceTemplate(
    uri_template=f"{URI}{{handle}}{{?offset}}",
    name="result",
    description="A result that a program kept; offset is in bytes, and each page names the next one.",
)
HINTS: dict[Any, CacheHint] = {
    "resources/list": CacheHint(ttl_ms=0, scope="private"),
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
    "resources/templates/list": CacheHint(ttl_ms=3_600_000, scope="private"),
}

log = structlog.get_logger(__name__)


class Reader(Protocol):
    """Answers readers of kept results."""

    async def listed(self, principal: Principal, cursor: str | None) -> tuple[Sequence[Kept], str | None]: ...
    async def read(self, principal: Principal, uri: str) -> list[Part]: ...


def handlers(reader: Reader) -> dict[str, Any]:
    """Return the handlers of the low-level server by the names of its arguments."""

    async def on_list(ctx: ServerRequestContext[Any], params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        async with _boundary("resources/list", ctx):
            kept, cursor = await reader.listed(_principal(ctx), params.cursor if params is not None else None)
            return t.ListResourcesResult(resources=[_resource(one) for one in kept], next_cursor=cursor)

    async def on_read(ctx: ServerRequestContext[Any], params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        async with _boundary("resources/read", ctx, params.uri):
            parts = await reader.read(_principal(ctx), params.uri)
            return t.ReadResourceResult(contents=[_contents(part) for part in parts])

    async def on_templates(
        _ctx: ServerRequestContext[Any], _params: t.PaginatedRequestParams | None
    ) -> t.ListResourceTemplatesResult:
        return t.ListResourceTemplatesResult(resource_templates=[TEMPLATE])

    return {
        "on_list_resources": on_list,
        "on_read_resource": on_read,
        "on_list_resource_templates": on_templates,
    }


@asynccontextmanager
async def _boundary(method: str, ctx: ServerRequestContext[Any], uri: str = "") -> AsyncIterator[None]:
    """Let nothing but our own words out."""
    try:
        yield
    except NoSuchResult:
        legacy = ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
        code = NOT_FOUND if legacy else t.INVALID_PARAMS
        said = "There is no such resource, or not any more; resources/list names yours"
        raise MCPError(code, said, {"uri": uri[:MAX_URI_CHARS]}) from None
    except BadCursor:
        raise MCPError(t.INVALID_PARAMS, "Unknown cursor; begin again without one") from None
    except (ResultsUnavailable, AuditUnavailable) as error:
        log.warning("resources.unavailable", method=method, error=type(error).__name__)
        raise MCPError(t.INTERNAL_ERROR, "Kept results cannot be reached now. Try again a little later.") from None
    except Exception:
        # The SDK sends str(exception) to clients of the older protocol: nothing unforeseen may reach it.
        error_id = secrets.token_hex(6)
        log.exception("endpoint.failed", method=method, error_id=error_id)
        raise MCPError(t.INTERNAL_ERROR, f"The portal failed. Error id {error_id}.") from None


def _principal(ctx: ServerRequestContext[Any]) -> Principal:
    return principal_of(ctx.request.scope if ctx.request is not None else {})


def _resource(kept: Kept) -> t.Resource:
    def time(ms: int) -> str:
        return dt.datetime.fromtimestamp(ms / 1_000, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")

    return t.Resource(
        uri=f"{URI}{kept.handle}",
        name=kept.handle,
        description=f"Kept by a program at {time(kept.created_ms)}, until {time(kept.expires_ms)}.",
        mime_type=kept.media_type,
        size=kept.size_bytes,
    )


def _contents(part: Part) -> t.TextResourceContents | t.BlobResourceContents:
    if part.blob is not None:
        return t.BlobResourceContents(uri=part.uri, mime_type=part.media_type, blob=part.blob)
    return t.TextResourceContents(uri=part.uri, mime_type=part.media_type, text=part.text or "")
