"""Enterprise-managed authorization through the front door: the SDK's own client, a provider and a portal over HTTP."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from shared_auth import opaque
from tests.clients.sdk import Login
from tests.provider import CLIENT_ID, SECRET, serving
from tests.running import portal

DESK_SECRET = opaque.new("secret")


def config(issuer: str) -> str:
    return f"""
[auth.oidc]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{SECRET}"
identity_assertions = true

[auth.clients.desk]
grant_types = ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
auth_method = "client_secret_post"
secret_hash = "{opaque.digest(DESK_SECRET)}"
"""


@pytest.mark.requirement("AS-140")
async def test_the_sdk_signs_in_with_an_assertion_and_nobody_is_asked(tmp_path: Path) -> None:
    async with serving() as provider:
        standing = portal(tmp_path, config(provider.issuer))
        running = await asyncio.to_thread(standing.__enter__)
        try:

            async def asserted(audience: str, resource: str) -> str:
                jti = secrets.token_hex(8)
                whose = {"sub": "grace", "groups": ["staff"], "client_id": "desk"}
                return provider.signed("oauth-id-jag+jwt", aud=audience, resource=resource, jti=jti, **whose)

            login = IdentityAssertionOAuthProvider(
                f"{running.base}/mcp", Login(tmp_path / "login.json"), "desk", DESK_SECRET, running.base, asserted
            )
            async with (
                httpx2.AsyncClient(trust_env=False, auth=login, timeout=60) as http,
                Client(streamable_http_client(f"{running.base}/mcp", http_client=http), cache=None) as client,
            ):
                answer = await client.call_tool("execute", {"code": "6*7"})
                block = answer.content[0]
                assert isinstance(block, TextContent)
                assert block.text.endswith("42")
            log = running.log.read_text(encoding="utf-8")
            assert "grant.asserted" in log
            assert DESK_SECRET not in log
        finally:
            await asyncio.to_thread(standing.__exit__, None, None, None)
