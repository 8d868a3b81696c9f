"""An upstream whose listing a test changes under the portal's feet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as t
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

LISTING: list[t.Tool] = []


def create(settings: Mapping[str, Any]) -> Server[Any]:
    """Return a server that lists LISTING, and fails to list while it is empty."""

    async def on_list_tools(
        _ctx: ServerRequestContext[Any], _params: t.PaginatedRequestParams | None
    ) -> t.ListToolsResult:
        if not LISTING:
            raise MCPError(t.INTERNAL_ERROR, "broken")
        return t.ListToolsResult(tools=list(LISTING))

    return Server(str(settings.get("name", "changing")), version="1", on_list_tools=on_list_tools)
