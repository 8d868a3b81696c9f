"""The slow upstream."""

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
    return build("slow", summary="Waits.", tools=discover("tests.upstreams.slow.tools"), client=_nothing)
