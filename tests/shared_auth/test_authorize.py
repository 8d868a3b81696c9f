"""The authorization endpoint: RFC 6749 section 4.1, RFC 7636, RFC 8252, RFC 8707, RFC 9207, RFC 9700 section 4.11."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.authorization.requests import require_resource
from shared_auth.reasons import Denied
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import CALLBACK, CHALLENGE, ISSUER, RESOURCE, Flow, application, query_of

WEB = "https://app.example/callback"


async def _client(flow: Flow, **metadata: Any) -> str:
    return str((await flow.register(**metadata))["client_id"])


@pytest.mark.requirement("AS-60", "AS-63")
@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},
        {"client_id": "unknown"},
        {"client_id": "portal-cli"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://localhost:5000/callback"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": [CALLBACK, "https://evil.example/callback"]},
        {"redirect_uri": [CALLBACK, CALLBACK]},
    ],
)
async def test_a_bad_client_or_address_is_never_redirected_to(flow: Flow, change: Any) -> None:
    client_id = await _client(flow)
    answer = await flow.authorize(**({"client_id": client_id} | change))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.requirement("AS-11", "AS-12", "AS-13", "AS-71", "AS-73", "AS-80", "AS-81", "AS-83", "AS-85")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "x"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request"),
        ({"code_challenge": [CHALLENGE, CHALLENGE]}, "invalid_request"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"resource": f"{RESOURCE}/"}, "invalid_target"),
        ({"resource": f"{RESOURCE}#x"}, "invalid_target"),
        ({"resource": ISSUER}, "invalid_target"),
        ({"resource": [RESOURCE, "https://evil.example/mcp"]}, "invalid_target"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "mcp2"}, "invalid_scope"),
    ],
)
async def test_another_fault_is_told_to_the_client_with_state_and_iss(flow: Flow, change: Any, error: Any) -> None:
    answer = await flow.authorize(await _client(flow), **change)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    query = query_of(answer.headers["location"])
    assert (query["error"], query["iss"], query["state"]) == (error, ISSUER, "a state")
    assert "code" not in query


@pytest.mark.requirement("AS-83")
async def test_a_repeated_state_is_refused_and_not_chosen_from(flow: Flow) -> None:
    query = query_of((await flow.authorize(await _client(flow), state=["one", "two"])).headers["location"])
    assert query["error"] == "invalid_request"
    assert "state" not in query


async def test_without_state_there_is_none_in_the_answer(flow: Flow) -> None:
    query = query_of((await flow.authorize(await _client(flow), state=None, scope="x")).headers["location"])
    assert sorted(query) == ["error", "error_description", "iss"]


@pytest.mark.requirement("AS-64")
async def test_a_fault_is_not_redirected_to_a_web_address_unasked(flow: Flow) -> None:
    """Anybody can register an address: redirecting there at once would make us an open redirector."""
    client_id = await _client(flow, redirect_uris=[WEB])
    answer = await flow.authorize(client_id, redirect_uri=WEB, scope="admin")
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert 'href="https://app.example/callback?error=invalid_scope' in answer.text
    assert "continue to app.example" in answer.text


@pytest.mark.requirement("AS-61")
async def test_any_port_of_a_loopback_address_is_answered(flow: Flow) -> None:
    client_id = await _client(flow, redirect_uris=["http://localhost/callback"])
    await flow.sign_in()
    for port in (3118, 40_000):
        page = await flow.authorize(client_id, redirect_uri=f"http://localhost:{port}/callback")
        answer = await flow.decide(page)
        assert answer.headers["location"].startswith(f"http://localhost:{port}/callback?code=")
        assert f"form-action 'self' http://localhost:{port};" in page.headers["content-security-policy"]


async def test_the_address_may_be_left_out_when_there_is_only_one(flow: Flow) -> None:
    await flow.sign_in()
    one, two = await _client(flow), await _client(flow, redirect_uris=[CALLBACK, WEB])
    assert (await flow.authorize(one, redirect_uri=None)).status_code == 200
    assert (await flow.authorize(two, redirect_uri=None)).status_code == 400


@pytest.mark.requirement("AS-84", "AS-85")
async def test_unknown_scopes_and_parameters_are_ignored_and_no_scope_means_ours(flow: Flow) -> None:
    client_id = await _client(flow)
    await flow.sign_in()
    code = await flow.code(client_id, scope="openid mcp offline_access", prompt="consent", nonce="x")
    assert (await flow.redeem(client_id, code)).json()["scope"] == "mcp"
    code = await flow.code(client_id, scope=None)
    assert (await flow.redeem(client_id, code)).json()["scope"] == "mcp"


@pytest.mark.requirement("RS-41")
async def test_scheme_and_host_of_the_resource_may_be_in_any_case() -> None:
    require_resource("HTTPS://Portal.Example/mcp", "https://portal.example/mcp")
    require_resource(None, "https://portal.example/mcp")
    for wanted in ("https://portal.example/MCP", "https://portal.example/mcp?", "https://[", "mcp", ""):
        with pytest.raises(Denied, match="resource_foreign"):
            require_resource(wanted, "https://portal.example/mcp")


@pytest.mark.requirement("AS-134")
@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=y", "a\x00b", "a\x7fb", "a\x85b"])
async def test_control_characters_are_refused_on_a_page(flow: Flow, value: Any) -> None:
    answer = await flow.authorize(await _client(flow), state=value)
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers


@pytest.mark.requirement("AS-87")
@pytest.mark.parametrize("query", ["x=%ff", "x=%ed%a0%80", "&".join(f"a{n}=b" for n in range(70)), "x=" + "x" * 9_000])
async def test_a_query_that_is_malformed_or_giant_is_refused_on_a_page(flow: Flow, query: Any) -> None:
    answer = await flow.browser.get(f"/authorize?client_id={await _client(flow)}&{query}")
    assert answer.status_code in {400, 413}
    assert "location" not in answer.headers


@pytest.mark.requirement("GW-02")
async def test_a_client_of_the_web_that_was_agreed_to_is_not_asked_about_again(flow: Flow) -> None:
    client_id = await _client(flow, redirect_uris=[WEB])
    await flow.sign_in()
    code = await flow.code(client_id, redirect_uri=WEB)
    again = await flow.authorize(client_id, redirect_uri=WEB)
    assert again.status_code == 200, "a yes that was never redeemed is no agreement"
    await flow.redeem(client_id, code, redirect_uri=WEB)
    answer = await flow.authorize(client_id, redirect_uri=WEB)
    assert answer.status_code == 303
    query = query_of(answer.headers["location"])
    assert (query["state"], query["iss"]) == ("a state", ISSUER)
    assert (await flow.redeem(client_id, query["code"], redirect_uri=WEB)).status_code == 200

    other = await _client(flow, redirect_uris=[WEB])
    assert (await flow.authorize(other, redirect_uri=WEB)).status_code == 200, "another client is asked about"
    await flow.auth.revoke_grants(client_id=client_id)
    assert (await flow.authorize(client_id, redirect_uri=WEB)).status_code == 200, "and so is one that was revoked"


@pytest.mark.requirement("GW-02")
async def test_an_agreement_counts_for_its_own_address_and_person_alone(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    other = f"{WEB}/other"
    client_id = await _client(flow, redirect_uris=[WEB, other])
    await flow.sign_in()
    await flow.redeem(client_id, await flow.code(client_id, redirect_uri=WEB), redirect_uri=WEB)
    assert (await flow.authorize(client_id, redirect_uri=WEB)).status_code == 303
    assert (await flow.authorize(client_id, redirect_uri=other)).status_code == 200

    bobs = Auth(dataclasses.replace(settings, local_subject="bob", local_name="Bob"), engine, clock=flow.clock)
    await bobs.start()
    bob = Flow(bobs, flow.clock, application(bobs))
    async with bob.agent, bob.browser:
        await bob.sign_in()
        page = await bob.authorize(client_id, redirect_uri=WEB)
        assert page.status_code == 200
        assert "Bob" in page.text


@pytest.mark.requirement("GW-03")
async def test_a_client_on_this_machine_is_asked_about_every_time(flow: Flow) -> None:
    client, _ = await flow.login()
    page = await flow.authorize(client["client_id"])
    assert page.status_code == 200
    assert "Any program that runs here" in page.text


async def test_a_post_to_the_authorization_endpoint_is_not_served(flow: Flow) -> None:
    assert (await flow.browser.post("/authorize")).status_code == 405
