"""Asking a running portal, as an agent does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.running import Running


@asynccontextmanager
async def agent(running: Running, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Yield a connected MCP client that presents ``token``."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as http,
        Client(
            streamable_http_client(f"{running.base}/mcp", http_client=http),
            cache=None,
            mode=mode,
        ) as client,
    ):
        yield client


async def ask(client: Client, tool: str, **arguments: object) -> tuple[str, bool]:
    """Return (the text of the answer, whether it reports a failure)."""
    answer = await client.call_tool(tool, arguments)
    block = answer.content[0]
    assert isinstance(block, TextContent)
    return block.text, bool(answer.is_error)


def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Poll until ``condition`` holds; False when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
