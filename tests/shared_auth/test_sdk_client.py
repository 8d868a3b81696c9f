"""The MCP SDK's own OAuth client logs in end to end, with a person at the browser."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider, PrivateKeyJWTOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, application, query_of
from tests.shared_auth.headless import BUILD, NIGHTLY, SECRET, assertion


class Storage:
    """What an agent keeps between runs."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def _provider(flow: Flow, storage: Storage, logins: list[str], **metadata: Any) -> OAuthClientProvider:
    async def open_browser(url: str) -> None:
        logins.append(url)

    async def wait_for_answer() -> AuthorizationCodeResult:
        page = await flow.browser.get(logins[-1])
        if "Sign in first" in page.text:
            page = await flow.browser.get((await flow.sign_in()).headers["location"])
        answer = await flow.decide(page)
        return AuthorizationCodeResult(**query_of(answer.headers["location"]))

    return OAuthClientProvider(
        server_url=RESOURCE,
        client_metadata=OAuthClientMetadata(
            client_name="SDK client", redirect_uris=[AnyUrl("http://localhost:3030/callback")], **metadata
        ),
        storage=storage,
        redirect_handler=open_browser,
        callback_handler=wait_for_answer,
    )


def _agent(flow: Flow, provider: OAuthClientProvider) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(flow.app), base_url=ISSUER, auth=provider)


@pytest.mark.requirement("SH-03")
@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
async def test_the_sdk_client_registers_logs_in_and_is_let_through(flow: Flow, method: str) -> None:
    storage, logins = Storage(), list[str]()
    async with _agent(flow, _provider(flow, storage, logins, token_endpoint_auth_method=method)) as agent:
        answer = await agent.get("/mcp")
    assert answer.status_code == 200, answer.text
    assert answer.json()["principal"]["client_name"] == "SDK client"
    assert storage.tokens is not None
    assert storage.tokens.scope == "mcp"
    asked = query_of(logins[0])
    assert (asked["resource"], asked["scope"], asked["code_challenge_method"]) == (RESOURCE, "mcp", "S256")


@pytest.mark.requirement("SH-03")
async def test_the_sdk_client_refreshes_without_the_person_and_asks_again_after_a_revocation(flow: Flow) -> None:
    storage, logins = Storage(), list[str]()
    provider = _provider(flow, storage, logins, token_endpoint_auth_method="none")
    async with _agent(flow, provider) as agent:
        await agent.get("/mcp")
        first = storage.tokens
        provider.context.token_expiry_time = 1.0  # as if the access token's life were over
        assert (await agent.get("/mcp")).status_code == 200
        assert len(logins) == 1
        assert storage.tokens is not None
        assert first is not None
        assert storage.tokens.refresh_token != first.refresh_token
        await flow.auth.revoke_grants(subject="ada")
        assert (await agent.get("/mcp")).status_code == 200
        assert len(logins) == 2


@pytest.mark.requirement("SH-03")
async def test_the_sdk_client_acts_for_itself_by_secret_and_by_signature(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    auth = Auth(settings, engine, clients=[BUILD, NIGHTLY], clock=clock)
    await auth.start()
    flow = Flow(auth, clock, application(auth))

    async def sign(audience: str) -> str:
        return assertion(clock, aud=audience)

    providers = [
        (ClientCredentialsOAuthProvider(RESOURCE, Storage(), "build", SECRET, issuer=ISSUER), "client:build"),
        (PrivateKeyJWTOAuthProvider(RESOURCE, Storage(), "nightly", sign, issuer=ISSUER), "client:nightly"),
    ]
    async with flow.agent, flow.browser:
        for provider, subject in providers:
            transport = httpx2.ASGITransport(flow.app)
            async with httpx2.AsyncClient(transport=transport, base_url=ISSUER, auth=provider) as agent:
                answer = await agent.get("/mcp")
            assert answer.status_code == 200, answer.text
            assert answer.json()["principal"]["subject"] == subject
