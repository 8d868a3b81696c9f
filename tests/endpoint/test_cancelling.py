"""Who may cancel what, in the older protocol: the same person, through the same client, in the same session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from portal.endpoint.http import Endpoint
from portal.endpoint.server import build
from tests.endpoint.serving import BASE, MAX_BYTES, Behind, Waiting
from tests.upstream.serving import ALICE

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


class Named:
    """Lets in whoever a header names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = dict(scope["headers"]).get(b"x-test-subject", b"alice").decode()
        await self._app({**scope, "state": {"principal": replace(ALICE, subject=who)}}, receive, send)


@asynccontextmanager
async def standing(behind: Behind) -> AsyncIterator[httpx2.AsyncClient]:
    security = TransportSecuritySettings(allowed_hosts=["127.0.0.1:8300"], allowed_origins=[BASE])
    endpoint = Endpoint(build(behind, behind, behind, version="1"), security=security, max_request_bytes=MAX_BYTES)
    async with endpoint.running():
        transport = httpx2.ASGITransport(app=Named(endpoint))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=HEADERS, timeout=20) as http:
            yield http


async def session(http: httpx2.AsyncClient) -> str:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    return str((await http.post("/mcp", json=body)).headers["mcp-session-id"])


def execute(http: httpx2.AsyncClient, name: str, number: Any = 7) -> asyncio.Task[httpx2.Response]:
    params = {"name": "execute", "arguments": {"code": "1"}}
    body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return asyncio.create_task(http.post("/mcp", json=body, headers={"Mcp-Session-Id": name}))


async def cancel(http: httpx2.AsyncClient, name: str, number: Any = 7, **headers: str) -> int:
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
    answer = await http.post("/mcp", json=body, headers={"Mcp-Session-Id": name, **headers})
    return answer.status_code


@pytest.mark.requirement("RS-67")
async def test_every_session_has_a_name_of_its_own() -> None:
    async with standing(Behind()) as http:
        names = {await session(http) for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) >= 24 for name in names)  # of base64url: 144 random bits


@pytest.mark.requirement("RS-65")
async def test_only_its_own_session_person_and_id_cancel_a_call() -> None:
    waiting = Waiting()
    async with standing(Behind(waiting)) as http:
        mine, other = await session(http), await session(http)
        call = execute(http, mine)
        await asyncio.wait_for(waiting.started.wait(), 10)
        assert await cancel(http, other) == 202
        assert await cancel(http, mine, **{"X-Test-Subject": "mallory"}) == 202
        assert await cancel(http, mine, "7") == 202
        assert await cancel(http, mine, 8) == 202
        assert not waiting.cancelled.is_set()
        assert await cancel(http, mine) == 202
        await asyncio.wait_for(waiting.cancelled.wait(), 10)
        assert (await asyncio.wait_for(call, 10)).text == ""


@pytest.mark.parametrize(
    "params", [None, [], {}, {"requestId": None}, {"requestId": {"a": 1}}, {"requestId": "x" * 9_000}, 7]
)
async def test_a_cancellation_that_means_nothing_does_nothing(params: Any) -> None:
    async with standing(Behind()) as http:
        name = await session(http)
        body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        answer = await http.post("/mcp", json=body, headers={"Mcp-Session-Id": name})
        assert answer.status_code < 500
        assert (await execute(http, name)).status_code == 200


async def test_a_call_that_ended_leaves_nothing_to_cancel() -> None:
    async with standing(Behind()) as http:
        name = await session(http)
        assert "ran 1" in (await execute(http, name)).text
        assert await cancel(http, name) == 202
        assert "ran 1" in (await execute(http, name)).text
