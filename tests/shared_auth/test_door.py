"""The resource server: RFC 6750, RFC 9728 section 5.1, MCP authorization (token handling, audience, passthrough)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared_auth.authorization.grants import FRESH_S, Grant, Grants
from shared_auth.keys import Keys
from shared_auth.principal import Principal
from shared_auth.resource import Door, principal_of
from shared_auth.sealing import Seal
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens
from tests.shared_auth.flow import BOTH, ISSUER, RESOURCE, Clock, Flow, application, protected

METADATA = 'resource_metadata="http://127.0.0.1:8300/.well-known/oauth-protected-resource/mcp"'


@pytest.mark.requirement("RS-02", "RS-05", "RS-06", "RS-23", "RS-26")
async def test_no_credentials_get_a_challenge_with_metadata_and_scope_and_no_error_code(flow: Flow) -> None:
    answer = await flow.agent.post("/mcp")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'Bearer {METADATA}, scope="mcp"'
    assert "error" not in answer.json()
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.requirement("RS-23")
@pytest.mark.parametrize("header", ["Basic YTpi", "Negotiate x", "", "token"])
async def test_credentials_of_another_kind_are_no_credentials(flow: Flow, header: Any) -> None:
    answer = await flow.agent.get("/mcp", headers={"Authorization": header})
    assert (answer.status_code, "error=" in answer.headers["www-authenticate"]) == (401, False)


@pytest.mark.requirement("RS-25")
@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "a" * 20_000, "a.b.c d", '"', "ä", "eyJhbGciOiJub25lIn0.e30.", " " * 50]
)
async def test_what_is_no_token_of_ours_is_an_invalid_token(flow: Flow, token: Any) -> None:
    answer = await flow.agent.get("/mcp", headers={b"Authorization": f"Bearer {token}".encode("latin-1")})
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token", error_description="')
    assert challenge.endswith(f'{METADATA}, scope="mcp"')
    assert answer.json()["error"] == "invalid_token"


async def test_the_scheme_may_be_in_any_case(flow: Flow) -> None:
    token = await flow.auth.local_token(ttl_s=60)
    assert (await flow.agent.get("/mcp", headers={"Authorization": f"bEARER  {token}"})).status_code == 200


@pytest.mark.requirement("RS-21")
async def test_a_token_in_the_query_is_refused_even_beside_a_good_header(flow: Flow) -> None:
    token = await flow.auth.local_token(ttl_s=60)
    good = {"Authorization": f"Bearer {token}"}
    for headers in ({}, good):
        answer = await flow.agent.get("/mcp", params={"access_token": token}, headers=headers)
        assert answer.status_code == 400
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]
        assert token not in answer.text + str(answer.headers)
    assert (await flow.agent.get("/mcp?x=access_token", headers=good)).status_code == 200


@pytest.mark.requirement("RS-22")
async def test_a_token_in_a_form_body_is_no_credential(flow: Flow) -> None:
    token = await flow.auth.local_token(ttl_s=60)
    assert (await flow.agent.post("/mcp", data={"access_token": token})).status_code == 401


@pytest.mark.requirement("RS-24")
async def test_two_authorization_headers_are_refused(flow: Flow) -> None:
    token = await flow.auth.local_token(ttl_s=60)
    header = ("Authorization", f"Bearer {token}")
    answer = await flow.agent.get("/mcp", headers=[header, header])
    assert answer.status_code == 400
    assert 'error="invalid_request"' in answer.headers["www-authenticate"]


@pytest.mark.requirement("RS-50")
async def test_what_is_behind_the_door_gets_the_principal_and_never_the_token(flow: Flow) -> None:
    answer = (await flow.call(await flow.auth.local_token(ttl_s=60))).json()
    assert answer["principal"]["subject"] == "ada"
    assert answer["principal"]["client_name"] == "portal command line"
    assert "authorization" not in answer["headers"]


@pytest.mark.requirement("RS-11")
async def test_an_expired_token_says_so(flow: Flow) -> None:
    token = await flow.auth.local_token(ttl_s=60)
    assert (await flow.call(token)).status_code == 200
    flow.clock.advance(60)
    answer = await flow.call(token)
    assert (answer.status_code, "expired" in answer.json()["error_description"]) == (401, True)


@pytest.mark.requirement("RS-12", "RS-13")
async def test_a_token_for_another_resource_or_issuer_is_refused(
    auth: Auth, settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    other = dataclasses.replace(settings, resource=f"{ISSUER}/other")
    foreign = dataclasses.replace(settings, issuer="http://127.0.0.1:9999", resource="http://127.0.0.1:9999/mcp")
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        for one in (other, foreign):  # same database, same keys, same grants
            stranger = Auth(one, engine, clock=clock)
            await stranger.start()
            answer = await flow.call(await stranger.local_token(ttl_s=60))
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.requirement("RS-30")
async def test_a_token_without_the_scope_is_told_which_one_it_needs(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, auth: Auth
) -> None:
    keys = Keys(engine, Seal(settings.secret), clock=clock)
    await keys.start()
    token = await auth.local_token(ttl_s=60)
    tokens = Tokens(keys, issuer=ISSUER, clock=clock)
    held = (await tokens.verify(token, audience=RESOURCE)).principal
    weak = tokens.mint(dataclasses.replace(held, scopes=frozenset({"other"})), audience=RESOURCE, ttl_s=60).token
    sent = await _ask(auth.door(protected), [(b"authorization", f"Bearer {weak}".encode())])
    assert sent[0]["status"] == 403
    challenge = dict(sent[0]["headers"])[b"www-authenticate"].decode()
    assert challenge.startswith('Bearer error="insufficient_scope"')
    assert METADATA in challenge
    assert 'scope="mcp"' in challenge


@pytest.mark.requirement("RS-18")
@BOTH
async def test_a_revocation_works_at_once_here_and_within_half_a_second_elsewhere(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    here, there = Auth(settings, engine, clock=clock), Auth(settings, engine, clock=clock)
    await here.start()
    await there.start()
    token = [(b"authorization", f"Bearer {await here.local_token(ttl_s=60)}".encode())]
    for auth in (here, there):
        assert (await _ask(auth.door(protected), token))[0]["status"] == 200
    await here.revoke_grants(client_id="portal-cli")
    assert (await _ask(here.door(protected), token))[0]["status"] == 401
    clock.advance(FRESH_S + 0.01)
    sent = await _ask(there.door(protected), token)
    assert sent[0]["status"] == 401
    assert b"grant" in sent[1]["body"]


async def test_a_clock_that_is_set_back_keeps_no_answer_fresh(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    here, there = Auth(settings, engine, clock=clock), Auth(settings, engine, clock=clock)
    await here.start()
    await there.start()
    token = [(b"authorization", f"Bearer {await here.local_token(ttl_s=60)}".encode())]
    assert (await _ask(there.door(protected), token))[0]["status"] == 200
    await here.revoke_grants()
    clock.advance(-10)
    assert (await _ask(there.door(protected), token))[0]["status"] == 401


@pytest.mark.requirement("RS-19")
async def test_a_grant_that_cannot_be_checked_lets_nobody_in(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, auth: Auth, tmp_path: Any
) -> None:
    token = await auth.local_token(ttl_s=60)
    keys = Keys(engine, Seal(settings.secret), clock=clock)
    await keys.start()
    nowhere = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    door = Door(protected, settings, Tokens(keys, issuer=ISSUER, clock=clock), Grants(nowhere, clock=clock))
    sent = await _ask(door, [(b"authorization", f"Bearer {token}".encode())])
    await nowhere.dispose()
    assert sent[0]["status"] == 503
    headers = dict(sent[0]["headers"])
    assert headers[b"retry-after"] == b"1"
    assert b"www-authenticate" not in headers


async def test_what_is_remembered_of_grants_is_bounded(engine: AsyncEngine, clock: Clock) -> None:
    grants = Grants(engine, clock=clock, remembered=2)
    assert [await grants.status(f"unknown {number}") for number in range(5)] == [None] * 5
    assert len(grants._seen) == 2


async def test_many_requests_at_once_ask_the_database_once(
    engine: AsyncEngine, clock: Clock, auth: Auth, settings: AuthSettings
) -> None:
    token = [(b"authorization", f"Bearer {await auth.local_token(ttl_s=60)}".encode())]
    asked: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *found: asked.append(found[2]))
    door = auth.door(protected)
    answers = await asyncio.gather(*(_ask(door, token) for _ in range(50)))
    assert [answer[0]["status"] for answer in answers] == [200] * 50
    assert len(asked) == 1
    clock.advance(FRESH_S + 0.01)
    await _ask(door, token)
    assert len(asked) == 2


async def test_a_revocation_that_comes_while_the_database_is_asked_is_not_forgotten(
    engine: AsyncEngine, clock: Clock, auth: Auth
) -> None:
    grants = Grants(engine, clock=clock)
    grant = Grant("one", "ada", "agent", "Agent", "", RESOURCE, "mcp")
    await grants.open(grant, ttl_s=60)
    for _ in range(20):
        asking = asyncio.create_task(grants.status("one"))
        await asyncio.sleep(0)
        grants.forget()
        assert await asking == grant
        assert not grants._seen, "an answer from before the revocation is not remembered"


@pytest.mark.requirement("RS-27")
async def test_a_web_socket_is_closed_and_a_lifespan_passes(auth: Auth) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    await auth.door(inner)({"type": "websocket", "headers": []}, _nothing, send)
    await auth.door(inner)({"type": "lifespan"}, _nothing, send)
    assert [message["type"] for message in sent] == ["websocket.close", "lifespan.startup.complete"]


@pytest.mark.parametrize("scope", [{}, {"state": {}}, {"state": {"principal": "ada"}}])
def test_without_the_door_there_is_no_principal(scope: Any) -> None:
    with pytest.raises(LookupError, match="door"):
        principal_of(scope)


def test_the_principal_of_a_request_is_found() -> None:
    principal = Principal(issuer=ISSUER, subject="ada", client_id="agent")
    assert principal_of({"state": {"principal": principal}}) is principal


async def _nothing() -> Any:
    return {"type": "http.disconnect"}


async def _ask(app: Any, headers: Any) -> Any:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/mcp", "query_string": b"", "headers": headers}
    await app(scope, _nothing, send)
    return sent
