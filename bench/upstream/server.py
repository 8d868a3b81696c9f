"""The bench upstream, built like every server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import Server

from servers._kit.server import build
from servers._kit.tool import discover


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def create(_settings: Mapping[str, Any]) -> Server[Any]:
    """Return the MCP server."""
    return build("bench", summary="Adds.", tools=discover("bench.upstream.tools"), client=_nothing)
