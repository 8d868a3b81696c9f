"""The older protocol's session ids at the whole portal: names, which let nobody in."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from portal.app import Portal
from tests.web.test_home import opened

ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


async def _bearer(portal: Portal) -> dict[str, str]:
    return {"Authorization": f"Bearer {await portal.auth.local_token(ttl_s=60)}"}


async def _session(http: httpx.AsyncClient, bearer: dict[str, str]) -> str:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    return str((await http.post("/mcp", json=body, headers=ACCEPT | bearer)).headers["mcp-session-id"])


@pytest.mark.requirement("RS-20", "RS-66")
async def test_a_session_id_lets_nobody_in_and_is_not_needed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (portal, http):
        bearer = await _bearer(portal)
        session = {"Mcp-Session-Id": await _session(http, bearer)}
        assert (await http.post("/mcp", json=LIST, headers=ACCEPT | bearer | session)).status_code == 200
        assert (await http.post("/mcp", json=LIST, headers=ACCEPT | bearer)).status_code == 200
        refused = await http.post("/mcp", json=LIST, headers=ACCEPT | session)
        assert (refused.status_code, refused.json().keys()) == (401, {"error_description"})
        for other in ("Bearer x", "Basic YTpi"):
            answer = await http.post("/mcp", json=LIST, headers=ACCEPT | session | {"Authorization": other})
            assert answer.status_code == 401


@pytest.mark.requirement("RS-20")
async def test_a_token_that_ended_ends_in_the_middle_of_a_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as (portal, http):
        bearer = await _bearer(portal)
        session = {"Mcp-Session-Id": await _session(http, bearer)}
        await portal.auth.revoke_grants()
        assert (await http.post("/mcp", json=LIST, headers=ACCEPT | bearer | session)).status_code == 401
