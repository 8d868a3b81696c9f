"""Introspection: RFC 7662, for operators' clients alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.authorization.declared import DeclaredClient
from shared_auth.configuration import ConfigurationError
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, application, refused
from tests.shared_auth.headless import BUILD, KIOSK, MONITOR, NIGHTLY, SECRET, ask_with, assertion

INACTIVE = {"active": False}


@pytest.fixture
async def auth(settings: AuthSettings, engine: AsyncEngine, clock: Clock) -> Auth:
    found = Auth(settings, engine, clients=[MONITOR, KIOSK, NIGHTLY], clock=clock)
    await found.start()
    return found


async def introspect(flow: Flow, token: str | None, **form: Any) -> httpx.Response:
    sent = {"client_id": "monitor", "client_secret": SECRET} | ({} if token is None else {"token": token}) | form
    return await flow.agent.post("/introspect", data=sent)


async def test_living_tokens_are_described(flow: Flow) -> None:
    client, tokens = await flow.login()
    answer = await introspect(flow, tokens["access_token"])
    assert answer.headers["cache-control"] == "no-store"
    about = {"active": True, "scope": "mcp", "client_id": client["client_id"], "sub": "ada", "aud": RESOURCE}
    expires_at = int(flow.clock()) + 600
    assert answer.json() == about | {"iss": ISSUER, "token_type": "Bearer", "exp": expires_at}
    answer = await introspect(flow, tokens["refresh_token"], token_type_hint="access_token")
    assert answer.json() == about | {"iss": ISSUER}


async def test_a_client_that_acts_for_itself_is_told_apart_by_its_subject(flow: Flow) -> None:
    token = (await ask_with(flow, assertion(flow.clock))).json()["access_token"]
    assert (await introspect(flow, token)).json()["sub"] == "client:nightly"


@pytest.mark.requirement("AS-115")
async def test_everything_else_is_inactive_and_no_more_is_said(flow: Flow) -> None:
    client, tokens = await flow.login()
    code = await flow.code(client["client_id"])
    for token in ("x", code, client["client_id"], tokens["access_token"] + "x", tokens["refresh_token"] + "x"):
        assert (await introspect(flow, token)).json() == INACTIVE
    after = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    assert (await introspect(flow, tokens["refresh_token"])).json() == INACTIVE
    assert (await introspect(flow, after["refresh_token"])).json()["active"]
    await flow.auth.revoke_grants(subject="ada")
    for token in (after["refresh_token"], after["access_token"]):
        assert (await introspect(flow, token)).json() == INACTIVE


async def test_an_expired_token_is_inactive(flow: Flow) -> None:
    _, tokens = await flow.login()
    flow.clock.advance(600)
    assert (await introspect(flow, tokens["access_token"])).json() == INACTIVE
    assert (await introspect(flow, tokens["refresh_token"])).json()["active"]
    flow.clock.advance(40 * 86_400)
    assert (await introspect(flow, tokens["refresh_token"])).json() == INACTIVE


@pytest.mark.requirement("AS-114")
async def test_only_a_client_that_is_declared_for_it_may_ask(flow: Flow) -> None:
    client, tokens = await flow.login()
    registered = await flow.register(token_endpoint_auth_method="client_secret_post")
    secret = registered["client_secret"]
    own = await introspect(flow, tokens["access_token"], client_id=client["client_id"], client_secret="")
    stranger = await introspect(flow, tokens["access_token"], client_id=registered["client_id"], client_secret=secret)
    declared = await introspect(flow, tokens["access_token"], client_id="kiosk")
    for answer in (own, stranger, declared):
        assert refused(answer, 403, "access_denied")
    assert refused(await introspect(flow, tokens["access_token"], client_secret="x"), 401, "invalid_client")
    assert refused(await introspect(flow, tokens["access_token"], client_secret=""), 401, "invalid_client")


async def test_a_request_without_a_token_is_refused_and_other_origins_may_not_ask(flow: Flow) -> None:
    assert refused(await introspect(flow, None), 400, "invalid_request")
    preflight = {"Origin": "https://inspector.example", "Access-Control-Request-Method": "POST"}
    answer = await flow.agent.options("/introspect", headers=preflight)
    assert "access-control-allow-origin" not in answer.headers


async def test_a_client_for_introspection_gets_no_token(flow: Flow) -> None:
    for grant_type in ("client_credentials", "authorization_code", "refresh_token"):
        answer = await flow.token(grant_type=grant_type, client_id="monitor", client_secret=SECRET)
        assert refused(answer, 400, "unauthorized_client")


@pytest.mark.requirement("AS-03")
async def test_the_endpoint_exists_only_with_a_client_for_it(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    document = (await flow.agent.get("/.well-known/oauth-authorization-server")).json()
    assert document["introspection_endpoint"] == f"{ISSUER}/introspect"
    methods = document["introspection_endpoint_auth_methods_supported"]
    assert methods == ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert document["introspection_endpoint_auth_signing_alg_values_supported"] == ["ES256", "RS256"]
    plain = Auth(settings, engine, clients=[BUILD], clock=flow.clock)
    await plain.start()
    other = Flow(plain, flow.clock, application(plain))
    async with other.agent, other.browser:
        assert "introspection_endpoint" not in (await other.agent.get("/.well-known/oauth-authorization-server")).json()
        assert (await introspect(other, "x")).status_code == 404


def test_a_public_client_cannot_be_declared_for_it() -> None:
    with pytest.raises(ConfigurationError, match="introspect"):
        DeclaredClient("open", "Open", "none", frozenset(), may_introspect=True)
