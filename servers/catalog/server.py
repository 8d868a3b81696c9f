"""The server: its settings, its client and its tools put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import Server

from servers._kit.server import build
from servers._kit.tool import discover
from servers.catalog.client import open_client
from servers.catalog.settings import CatalogSettings


def create(settings: Mapping[str, Any]) -> Server[Any]:
    """Return the MCP server. Raises pydantic.ValidationError for settings that nobody knows."""
    parsed = CatalogSettings.model_validate(settings)
    return build(
        "catalog",
        summary="Software catalog: services, APIs, owners, teams, dependencies, systems, scores, links to other tools.",
        tools=discover("servers.catalog.tools"),
        client=lambda: open_client(parsed),
    )
