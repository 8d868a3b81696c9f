"""Dynamic client registration (RFC 7591), as a hostile crowd would use it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import opaque, store
from shared_auth.authorization.client import Client
from shared_auth.authorization.clients import MAKE_ROOM_S, UNUSED_S, USED_S, Clients
from shared_auth.authorization.pace import ADDRESSES, Pace
from shared_auth.authorization.register import NAMELESS, parse
from shared_auth.readable import readable
from shared_auth.reasons import Denied, Reason
from tests.shared_auth.flow import BOTH, CALLBACK, Clock, Flow, refused


@pytest.mark.requirement("AS-50")
async def test_a_public_client_gets_an_id_and_no_secret(flow: Flow) -> None:
    client = await flow.register()
    assert client["token_endpoint_auth_method"] == "none"
    assert client["grant_types"] == ["authorization_code", "refresh_token"]
    assert client["redirect_uris"] == [CALLBACK]
    assert client["scope"] == "mcp"
    assert "client_secret" not in client
    assert client["client_id_issued_at"] == int(flow.clock())


async def test_a_client_that_names_no_method_has_registered_client_secret_basic(flow: Flow) -> None:
    client = await flow.register(token_endpoint_auth_method=None)
    assert client["token_endpoint_auth_method"] == "client_secret_basic"
    assert client["client_secret_expires_at"] == 0


@pytest.mark.requirement("AS-106")
async def test_a_secret_is_stored_hashed_only(flow: Flow, engine: AsyncEngine) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_post")
    async with engine.connect() as connection:
        row = (await connection.execute(select(store.clients))).one()
    assert client["client_secret"] not in str(tuple(row))
    assert row.secret_hash == opaque.digest(client["client_secret"])


@pytest.mark.requirement("AS-52")
async def test_what_a_client_says_beyond_that_is_ignored_and_nulls_count_as_absent(flow: Flow) -> None:
    client = await flow.register(logo_uri="http://10.0.0.1/", jwks_uri="file:///etc/passwd", software_statement="x")
    assert not {"logo_uri", "jwks_uri", "software_statement"} & client.keys()
    body = {"redirect_uris": [CALLBACK, CALLBACK], "client_name": None, "grant_types": None}
    answer = (await flow.agent.post("/register", json=body)).json()
    assert answer["client_name"] == NAMELESS
    assert answer["grant_types"] == ["authorization_code"]
    assert answer["redirect_uris"] == [CALLBACK]


@pytest.mark.requirement("AS-52", "AS-62")
@pytest.mark.parametrize(
    "uris",
    [
        None,
        [],
        "http://localhost/cb",
        [7],
        [None],
        {"a": CALLBACK},
        ["javascript:alert(1)"],
        [CALLBACK, "http://evil.example/cb"],
        ["https://app.example/cb#x"],
        [f"https://app.example/{number}" for number in range(11)],
    ],
)
async def test_redirect_uris_that_could_leave_https_or_this_machine_are_refused(flow: Flow, uris: Any) -> None:
    answer = await flow.agent.post("/register", json={"redirect_uris": uris})
    assert refused(answer, 400, "invalid_redirect_uri")
    assert "evil" not in answer.text
    assert "javascript" not in answer.text


@pytest.mark.requirement("AS-52")
@pytest.mark.parametrize(
    "change",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"client_name": "x" * 201},
        {"client_name": 7},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": "authorization_code"},
        {"grant_types": ["authorization_code"] * 21},
        {"response_types": ["token"]},
    ],
)
async def test_metadata_that_is_not_served_is_refused(flow: Flow, change: Any) -> None:
    answer = await flow.agent.post("/register", json={"redirect_uris": [CALLBACK]} | change)
    assert refused(answer, 400, "invalid_client_metadata")


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b"\xff", b"[" * 16_000, b'{"a":' * 3_000, b"9" * 5_000])
async def test_a_body_that_is_no_json_object_is_refused(flow: Flow, body: Any) -> None:
    answer = await flow.agent.post("/register", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer, 400, "invalid_client_metadata")


@pytest.mark.requirement("AS-51")
async def test_a_form_is_no_registration_and_a_giant_is_cut_off(flow: Flow) -> None:
    assert refused(await flow.agent.post("/register", data={"a": "b"}), 400, "invalid_client_metadata")
    giant = json.dumps({"redirect_uris": [CALLBACK], "x": "x" * 20_000})
    answer = await flow.agent.post("/register", content=giant, headers={"Content-Type": "application/json"})
    assert refused(answer, 413, "invalid_request")


@pytest.mark.requirement("AS-51")
async def test_one_address_cannot_register_without_end_and_does_not_slow_the_others(flow: Flow) -> None:
    body = {"redirect_uris": [CALLBACK]}
    for _ in range(30):
        assert (await flow.agent.post("/register", json=body)).status_code == 201
    answer = await flow.agent.post("/register", json=body)
    assert refused(answer, 429, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "60"
    async with flow.client("10.0.0.7") as other:
        assert (await other.post("/register", json=body)).status_code == 201
    flow.clock.advance(60)
    assert (await flow.agent.post("/register", json=body)).status_code == 201


def test_an_ipv6_network_is_one_address_and_the_memory_is_bounded(clock: Clock) -> None:
    pace = Pace(burst=1, per_second=0.1, clock=clock)
    assert pace.take("2001:db8::1")
    assert not pace.take("2001:db8::2")
    assert pace.take("2001:db8:0:1::1")
    assert pace.take("unix socket")
    clock.advance(-100)
    assert not pace.take("2001:db8::3"), "a clock that is set back gives nothing"
    for number in range(ADDRESSES + 10):
        pace.take(f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}")
    assert len(pace._buckets) == ADDRESSES


@pytest.mark.requirement("AS-51")
@BOTH
async def test_when_the_table_is_full_the_unused_make_room_and_the_used_stay(engine: AsyncEngine, clock: Clock) -> None:
    clients = Clients(engine, clock=clock, max_clients=3)
    for name in ("used", "idle"):
        await clients.add(_client(name))
    await clients.used("used")
    clock.advance(MAKE_ROOM_S)
    await clients.add(_client("new"))
    await clients.add(_client("newer"))
    assert (await clients.find("used")).client_id == "used"
    with pytest.raises(Denied, match="client_unknown"):
        await clients.find("idle")
    with pytest.raises(Denied, match="registration_full"):
        await clients.add(_client("too many"))


@pytest.mark.requirement("AS-51")
async def test_a_client_that_nobody_signs_in_through_expires_in_a_day(flow: Flow) -> None:
    client = await flow.register()
    flow.clock.advance(UNUSED_S)
    assert (await flow.authorize(client["client_id"])).status_code == 400
    assert await flow.auth.prune() == 1


async def test_a_used_client_expires_half_a_year_after_its_last_token(flow: Flow) -> None:
    client, _ = await flow.login()
    flow.clock.advance(USED_S - 1)
    assert (await flow.authorize(client["client_id"])).status_code == 200
    flow.clock.advance(1)
    assert (await flow.authorize(client["client_id"])).status_code == 400


@pytest.mark.requirement("AS-54")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Claude\n\tCode  ", "Claude Code"),
        ("\u202eedoC edualC", "edoC edualC"),
        ("a\u200bb", "a b"),
        ("\ud800", ""),
        ("", ""),
    ],
)
def test_a_name_is_one_line_without_what_reorders_or_hides(name: Any, shown: Any) -> None:
    assert readable(name) == shown


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(raw: Any) -> None:
    with pytest.raises(Denied) as denied:
        parse(raw)
    assert denied.value.reason in {Reason.BODY_NOT_JSON, Reason.REDIRECT_URI_REFUSED, Reason.METADATA_INVALID}


def _client(client_id: str) -> Client:
    return Client(client_id, client_id, (CALLBACK,), "none", may_refresh=True)
