"""Server tokens (RFC 8693 section 4.1) and the door of a server in another process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st

from shared_auth import jose
from shared_auth.configuration import ConfigurationError
from shared_auth.exchange import SERVER_TOKEN_S, judge_server_token
from shared_auth.issuer_keys import COOL_DOWN_S, MAX_AGE_S, MAX_BYTES, MAX_KEYS, MAX_STALE_S, RETRY_S, IssuerKeys
from shared_auth.keys import generate, public_half
from shared_auth.principal import Principal
from shared_auth.reasons import Denied
from shared_auth.resource import bearer_of
from shared_auth.server_door import ServerDoor, ServerDoorSettings, open_door
from shared_auth.tokens import TYPE
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, protected

SERVER = "https://notes.example/mcp"
ADA = Principal(
    issuer=ISSUER,
    subject="ada",
    client_id="agent",
    grant_id="g",
    scopes=frozenset({"mcp"}),
    groups=frozenset({"eng"}),
    name="Ada",
    email="ada@example.com",
)


@dataclass
class Issuer:
    """A portal's key document as a server meets it: working, down, hostile."""

    flow: Flow
    answer: httpx.Response | None = None
    down: bool = False
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.down:
            raise httpx.ConnectError("down")
        if self.answer is not None:
            return self.answer
        return httpx.Response(200, content=(await self.flow.agent.get("/jwks.json")).content)


@pytest.fixture
def issuer(flow: Flow) -> Issuer:
    return Issuer(flow)


@pytest.fixture
async def server(issuer: Issuer, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server behind its door."""
    settings = ServerDoorSettings(ISSUER, SERVER)
    async with httpx.AsyncClient(transport=httpx.MockTransport(issuer)) as http:
        door = ServerDoor(settings, IssuerKeys(settings.jwks_uri, http, clock=clock), clock=clock)
        transport = httpx.ASGITransport(door.before(protected))
        async with httpx.AsyncClient(transport=transport, base_url="https://notes.example") as found:
            yield found


@pytest.mark.requirement("RS-50", "VG-02")
@pytest.mark.parametrize("keeps", [False, True])
async def test_only_a_server_that_exchanges_the_token_of_a_call_gets_to_it(
    flow: Flow, issuer: Issuer, clock: Clock, keeps: bool
) -> None:
    settings, seen = ServerDoorSettings(ISSUER, SERVER), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((bearer_of(scope), repr(scope)))
        await protected(scope, receive, send)

    token = flow.auth.server_token(ADA, SERVER)
    async with httpx.AsyncClient(transport=httpx.MockTransport(issuer)) as http:
        door = ServerDoor(settings, IssuerKeys(settings.jwks_uri, http, clock=clock), clock=clock)
        transport = httpx.ASGITransport(door.before(app, keeps=keeps))
        async with httpx.AsyncClient(transport=transport, base_url="https://notes.example") as server:
            assert (await ask(server, token)).status_code == 200
    ((kept, shown),) = seen
    assert kept == (token if keeps else "")
    assert token not in shown


async def ask(server: httpx.AsyncClient, token: str) -> httpx.Response:
    return await server.post("/mcp", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.requirement("RS-50", "RS-51")
async def test_the_portal_acts_for_a_person_at_one_server(flow: Flow, server: httpx.AsyncClient) -> None:
    answer = await ask(server, flow.auth.server_token(ADA, SERVER))
    assert answer.json()["principal"] == ADA.to_json()
    assert "authorization" not in answer.json()["headers"]


@pytest.mark.requirement("RS-51", "GW-42")
async def test_the_token_names_the_portal_as_who_acts_and_is_short(flow: Flow) -> None:
    claims = jose.claimed(flow.auth.server_token(ADA, SERVER))
    assert claims["act"] == {"sub": ISSUER}
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("ada", SERVER, "agent")
    assert claims["exp"] - claims["iat"] == SERVER_TOKEN_S == 60


async def test_the_portal_for_itself_is_a_client_without_groups(flow: Flow, server: httpx.AsyncClient) -> None:
    principal = (await ask(server, flow.auth.server_token(None, SERVER))).json()["principal"]
    assert (principal["subject"], principal["groups"]) == ("client:portal", [])


@pytest.mark.requirement("RS-14", "RS-52")
async def test_an_agents_token_is_refused_by_the_server_and_a_server_token_by_the_portal(
    flow: Flow, server: httpx.AsyncClient
) -> None:
    _, tokens = await flow.login()
    answer = await ask(server, tokens["access_token"])
    assert answer.status_code == 401
    metadata = "https://notes.example/.well-known/oauth-protected-resource/mcp"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert f'resource_metadata="{metadata}"' in answer.headers["www-authenticate"]
    for audience in (SERVER, RESOURCE):
        assert (await flow.call(flow.auth.server_token(ADA, audience))).status_code == 401


@pytest.mark.requirement("RS-52", "GW-42")
@pytest.mark.parametrize("audience", ["https://other.example/mcp", f"{SERVER}/", "https://notes.example", RESOURCE])
async def test_a_token_for_another_server_is_refused(flow: Flow, server: httpx.AsyncClient, audience: Any) -> None:
    assert (await ask(server, flow.auth.server_token(ADA, audience))).status_code == 401


@pytest.mark.requirement("GW-42")
async def test_a_token_lives_a_minute(flow: Flow, server: httpx.AsyncClient) -> None:
    token = flow.auth.server_token(ADA, SERVER)
    flow.clock.advance(SERVER_TOKEN_S - 1)
    assert (await ask(server, token)).status_code == 200
    flow.clock.advance(1)
    answer = await ask(server, token)
    assert answer.status_code == 401
    assert "expired" in answer.text


async def test_no_token_two_tokens_and_tokens_in_the_query_are_refused(flow: Flow, server: httpx.AsyncClient) -> None:
    token = flow.auth.server_token(ADA, SERVER)
    assert "error=" not in (await server.post("/mcp")).headers["www-authenticate"]
    twice = [("Authorization", f"Bearer {token}")] * 2
    assert (await server.post("/mcp", headers=twice)).status_code == 400
    assert (await server.post(f"/mcp?access_token={token}")).status_code == 400


GOOD = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": SERVER,
    "iat": 1_800_000_000,
    "exp": 1_800_000_060,
    "jti": "j",
    "client_id": "agent",
    "scope": "mcp",
    "gid": "g",
    "act": {"sub": ISSUER},
}


def judge(claims: Any) -> Any:
    return judge_server_token(claims, issuer=ISSUER, audience=SERVER, now=1_800_000_000.0)


def test_good_claims_yield_their_principal() -> None:
    assert judge(GOOD).principal.subject == "ada"


@pytest.mark.requirement("GW-42")
@pytest.mark.parametrize(
    "change",
    [
        {"act": None},
        {"act": {}},
        {"act": {"sub": "https://evil.example"}},
        {"act": {"sub": ISSUER, "act": {"sub": "x"}}},
        {"act": [ISSUER]},
        {"act": ISSUER},
        {"exp": 1_800_000_061},
        {"may_act": {"sub": "x"}},
        {"cnf": {}},
        {"iss": "https://evil.example"},
        {"aud": [SERVER]},
        {"gid": ""},
    ],
)
def test_claims_that_are_not_a_server_tokens_are_refused(change: Any) -> None:
    with pytest.raises(Denied, match="token_invalid"):
        judge(GOOD | change)


def test_a_token_without_an_actor_is_no_server_token() -> None:
    with pytest.raises(Denied):
        judge({name: value for name, value in GOOD.items() if name != "act"})


async def test_a_token_without_the_scope_is_told_so(clock: Clock, issuer: Issuer, server: httpx.AsyncClient) -> None:
    key = generate()
    issuer.answer = httpx.Response(200, json={"keys": [public_half(key)]})
    answer = await ask(server, jose.sign(GOOD | {"scope": "other"}, key, typ=TYPE))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_token_of_somebody_elses_key_is_refused(server: httpx.AsyncClient) -> None:
    stranger = generate()
    assert (await ask(server, jose.sign(GOOD, stranger, typ=TYPE))).status_code == 401
    assert (await ask(server, jose.sign(GOOD, generate() | {"kid": "x"}, typ="JWT"))).status_code == 401


@configured(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2_000), letter=st.sampled_from("Aa0-_.="))
async def test_no_mutation_of_a_server_token_comes_in(
    flow: Flow, server: httpx.AsyncClient, place: int, letter: str
) -> None:
    token = flow.auth.server_token(ADA, SERVER)
    at = place % len(token)
    changed = token[:at] + letter + token[at + 1 :]
    assert changed == token or (await ask(server, changed)).status_code == 401


async def test_keys_are_fetched_once_and_made_up_key_ids_cost_a_request_in_a_while(
    flow: Flow, server: httpx.AsyncClient, issuer: Issuer
) -> None:
    token = flow.auth.server_token(ADA, SERVER)
    assert [(await ask(server, token)).status_code for _ in range(3)] == [200] * 3
    for _ in range(5):
        assert (await ask(server, jose.sign(GOOD, generate(), typ=TYPE))).status_code == 401
    assert issuer.asked == [f"{ISSUER}/jwks.json"]
    flow.clock.advance(COOL_DOWN_S)
    answers = await asyncio.gather(*(ask(server, jose.sign(GOOD, generate(), typ=TYPE)) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {401}
    assert len(issuer.asked) == 2


async def test_a_new_key_of_the_portal_is_found_and_an_old_one_forgotten(
    flow: Flow, server: httpx.AsyncClient, issuer: Issuer
) -> None:
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 200
    key = generate()
    issuer.answer = httpx.Response(200, json={"keys": [public_half(key)]})
    token = jose.sign(GOOD, key, typ=TYPE)
    assert (await ask(server, token)).status_code == 401
    flow.clock.advance(COOL_DOWN_S)
    assert (await ask(server, token)).status_code == 200
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 401


async def test_an_issuer_that_is_down_shuts_nobody_out_whom_it_let_in_for_an_hour(
    flow: Flow, server: httpx.AsyncClient, issuer: Issuer
) -> None:
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 200
    issuer.down = True
    flow.clock.advance(MAX_AGE_S)
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 200
    assert len(issuer.asked) == 2
    flow.clock.advance(MAX_STALE_S)
    answer = await ask(server, flow.auth.server_token(ADA, SERVER))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


@pytest.mark.requirement("GW-43")
async def test_without_keys_nobody_comes_in_until_the_issuer_answers(
    flow: Flow, server: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.down = True
    for _ in range(3):
        assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 503
    assert len(issuer.asked) == 1
    issuer.down = False
    flow.clock.advance(RETRY_S)
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 200


KEY = public_half(generate())


@pytest.mark.requirement("GW-43")
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "https://evil.example/jwks"}),
        httpx.Response(404),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"keys": []}),
        httpx.Response(200, json={"keys": {"a": 1}}),
        httpx.Response(200, json={"keys": [1, {"kid": 7}, {"kid": "a", "kty": "oct", "k": "c2VjcmV0"}]}),
        httpx.Response(200, json={"keys": [KEY | {"use": "enc"}]}),
        httpx.Response(200, json={"keys": [KEY | {"kid": str(n)} for n in range(MAX_KEYS + 1)]}),
        httpx.Response(200, content=b"[" * 50_000),
        httpx.Response(200, content=json.dumps({"keys": [KEY], "x": "y" * MAX_BYTES}).encode()),
    ],
)
async def test_a_key_document_that_is_none_lets_nobody_in(
    flow: Flow, server: httpx.AsyncClient, issuer: Issuer, answer: Any
) -> None:
    issuer.answer = answer
    assert (await ask(server, flow.auth.server_token(ADA, SERVER))).status_code == 503
    assert issuer.asked == [f"{ISSUER}/jwks.json"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJFUzI1NiIsImtpZCI6W119.e30.x"])
async def test_what_is_no_token_is_refused_without_a_request(
    server: httpx.AsyncClient, issuer: Issuer, token: Any
) -> None:
    assert (await ask(server, token)).status_code == 401
    assert len(issuer.asked) <= 1


@pytest.mark.parametrize(
    ("issuer", "resource"),
    [
        ("http://portal.example", SERVER),
        ("https://portal.example/", SERVER),
        ("https://portal.example/auth", SERVER),
        ("portal.example", SERVER),
        (ISSUER, "http://notes.example/mcp"),
        (ISSUER, "https://notes.example"),
        (ISSUER, "https://notes.example/"),
        (ISSUER, f"{SERVER}?a=b"),
        (ISSUER, f"{SERVER}#a"),
        (ISSUER, "https://user@notes.example/mcp"),
    ],
)
def test_an_unsafe_door_does_not_start(issuer: Any, resource: Any) -> None:
    with pytest.raises(ConfigurationError):
        ServerDoorSettings(issuer, resource)


async def test_the_door_says_which_authorization_server_there_is() -> None:
    settings = ServerDoorSettings("https://portal.example", SERVER)
    async with open_door(settings) as door:
        assert door.document() == {
            "resource": SERVER,
            "authorization_servers": ["https://portal.example"],
            "scopes_supported": ["mcp"],
            "bearer_methods_supported": ["header"],
        }
