"""RFC 9728, RFC 8414 and RFC 7517 documents: exactly what is served, no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shared_auth.flow import ISSUER, RESOURCE, Flow

SERVER = "/.well-known/oauth-authorization-server"


@pytest.mark.requirement("RS-01", "RS-03", "RS-04", "RS-06", "RS-31")
@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"])
async def test_the_resource_names_itself_and_its_authorization_server(flow: Flow, path: Any) -> None:
    assert (await flow.agent.get(path)).json() == {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["mcp"],
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP portal",
    }


@pytest.mark.requirement("RS-06", "AS-04", "AS-10", "AS-72", "GW-50")
async def test_the_authorization_server_says_what_it_can_do(flow: Flow) -> None:
    document = (await flow.agent.get(SERVER)).json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["token_endpoint_auth_methods_supported"] == ["none", "client_secret_basic", "client_secret_post"]
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert document["response_types_supported"] == ["code"]
    assert document["scopes_supported"] == ["mcp"]
    assert "offline_access" not in str(document)
    assert "client_id_metadata_document_supported" not in document


@pytest.mark.requirement("AS-03")
async def test_every_endpoint_in_the_document_is_served(flow: Flow) -> None:
    document = (await flow.agent.get(SERVER)).json()
    for name, url in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert (await flow.agent.request("DELETE", url)).status_code == 405, name
            assert url.startswith(f"{ISSUER}/")


async def test_the_keys_are_public_halves(flow: Flow) -> None:
    (key,) = (await flow.agent.get("/jwks.json")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert key["alg"] == "ES256"


@pytest.mark.requirement("AS-05")
async def test_openid_configuration_is_not_served_because_this_is_no_openid_provider(flow: Flow) -> None:
    assert (await flow.agent.get("/.well-known/openid-configuration")).status_code == 404


@pytest.mark.requirement("RS-07")
@pytest.mark.parametrize("path", [SERVER, "/.well-known/oauth-protected-resource/mcp", "/jwks.json"])
async def test_web_clients_of_any_origin_may_read_them(flow: Flow, path: Any) -> None:
    answer = await flow.agent.get(path, headers={"Origin": "https://inspector.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/token", "/register", "/revoke"])
async def test_web_clients_may_call_the_endpoints_that_need_no_cookie(flow: Flow, path: Any) -> None:
    preflight = {
        "Origin": "https://inspector.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization, mcp-protocol-version",
    }
    answer = await flow.agent.options(path, headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.requirement("AS-131")
@pytest.mark.parametrize("path", ["/authorize", "/consent", "/sign-in", "/sign-out"])
async def test_other_origins_may_not_call_what_a_cookie_decides(flow: Flow, path: Any) -> None:
    preflight = {"Origin": "https://inspector.example", "Access-Control-Request-Method": "POST"}
    answer = await flow.agent.options(path, headers=preflight)
    assert "access-control-allow-origin" not in answer.headers
