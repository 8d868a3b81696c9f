"""A call of which nothing is heard for minutes: the stream says every few seconds that it is alive, in both eras, so
that neither a proxy nor a client takes it for dead.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from mcp.server import _streamable_http_modern as modern
from sse_starlette.sse import EventSourceResponse

from tests.endpoint.serving import Behind, Said, application
from tests.upstream.serving import on_port

TIMES = 3


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_a_silent_call_keeps_its_stream_alive_and_is_answered_on_it(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modern, "_SSE_PING_INTERVAL", 0.05)
    monkeypatch.setattr(EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.05)
    heard = asyncio.Event()

    async def silent(_code: str, _progress: Any) -> Said:
        await heard.wait()
        return Said("late")

    async with (
        application(Behind(silent), hosts=["127.0.0.1:*"]) as app,
        on_port(app) as remote,
        httpx2.AsyncClient(trust_env=False, timeout=20) as http,
        http.stream("POST", remote.url, json=asked(version), headers=headers(version)) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        said = []
        async for line in answer.aiter_lines():
            said.append(line)
            if sum(line.startswith(":") for line in said) == TIMES:
                heard.set()
    assert sum(line.startswith(":") for line in said) >= TIMES
    assert any(line.startswith("data:") and "late" in line for line in said)


def asked(version: str) -> dict[str, Any]:
    name = "io.modelcontextprotocol/"
    meta = {
        f"{name}protocolVersion": version,
        f"{name}clientInfo": {"name": "t", "version": "1"},
        f"{name}clientCapabilities": {},
    }
    params: dict[str, Any] = {"name": "execute", "arguments": {"code": "1"}}
    if version == "2026-07-28":
        params["_meta"] = meta
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


def headers(version: str) -> dict[str, str]:
    common = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    return common | ({"Mcp-Method": "tools/call", "Mcp-Name": "execute"} if version == "2026-07-28" else {})
