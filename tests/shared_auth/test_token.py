"""The token endpoint: RFC 6749 sections 2.3, 3.2, 4.1.3 and 5.2, RFC 7636 section 4.6, RFC 8707, OAuth 2.1."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.authorization.codes import CODE_S
from shared_auth.authorization.parameters import MAX_BODY_BYTES
from tests.shared_auth.flow import CALLBACK, CHALLENGE, RESOURCE, VERIFIER, Flow, refused


@pytest.fixture
async def client(flow: Flow) -> Any:
    await flow.sign_in()
    return await flow.register()


@pytest.fixture
async def code(flow: Flow, client: Any) -> str:
    return await flow.code(client["client_id"])


@pytest.mark.requirement("AS-105")
async def test_the_answer_is_not_stored_and_says_what_was_granted(flow: Flow, client: Any, code: str) -> None:
    answer = await flow.redeem(client["client_id"], code)
    assert answer.headers["cache-control"] == "no-store"
    assert sorted(answer.json()) == ["access_token", "expires_in", "refresh_token", "scope", "token_type"]


@pytest.mark.requirement("AS-20", "AS-21")
async def test_a_used_code_is_refused_and_ends_what_came_from_it(flow: Flow, client: Any, code: str) -> None:
    tokens = (await flow.redeem(client["client_id"], code)).json()
    assert (await flow.call(tokens["access_token"])).status_code == 200
    assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")
    assert (await flow.call(tokens["access_token"])).status_code == 401
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("AS-22")
async def test_a_code_lives_a_minute(flow: Flow, client: Any, code: str) -> None:
    flow.clock.advance(CODE_S)
    assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")


@pytest.mark.requirement("AS-14", "AS-24")
@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://127.0.0.1:5001/callback"},
        {"redirect_uri": f"{CALLBACK}/"},
    ],
)
async def test_a_code_that_fits_not_is_spent_by_the_try(flow: Flow, client: Any, code: str, change: Any) -> None:
    assert refused(await flow.redeem(client["client_id"], code, **change), 400, "invalid_grant")
    assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")


@pytest.mark.requirement("AS-23")
async def test_a_code_injected_into_another_client_is_refused(flow: Flow, client: Any, code: str) -> None:
    other = await flow.register()
    assert refused(await flow.redeem(other["client_id"], code), 400, "invalid_grant")


@pytest.mark.requirement("AS-14", "AS-15", "AS-73", "AS-80", "AS-81", "AS-83", "AS-135")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": "v" * 42 + "é"}, "invalid_request"),
        ({"code_verifier": "v" * 42 + "+"}, "invalid_request"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"resource": [RESOURCE, RESOURCE]}, "invalid_target"),
        ({"code": "guess"}, "invalid_grant"),
        ({"grant_type": ["authorization_code", "refresh_token"]}, "invalid_request"),
        ({"client_id": ["a", "b"]}, "invalid_request"),
        ({"code_verifier": [VERIFIER, "w" * 43]}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:5000/\x00"}, "invalid_request"),
    ],
)
async def test_a_faulty_request_is_refused_before_the_code_is_spent(
    flow: Flow, client: Any, code: str, change: Any, error: Any
) -> None:
    answer = await flow.redeem(**({"client_id": client["client_id"], "code": code} | change))
    assert refused(answer, 400, error)
    assert code not in answer.text
    assert "guess" not in answer.text
    assert "evil" not in answer.text
    assert (await flow.redeem(client["client_id"], code)).status_code == 200


@pytest.mark.requirement("AS-82")
async def test_resource_and_redirect_uri_may_be_left_out_as_oauth_2_1_clients_do(
    flow: Flow, client: Any, code: str
) -> None:
    answer = await flow.redeem(client["client_id"], code, resource=None, redirect_uri=None)
    assert answer.status_code == 200
    assert (await flow.call(answer.json()["access_token"])).status_code == 200


@pytest.mark.requirement("AS-86")
async def test_parameters_in_the_query_are_no_parameters(flow: Flow, client: Any, code: str) -> None:
    form = {"grant_type": "authorization_code", "client_id": client["client_id"], "code_verifier": VERIFIER}
    answer = await flow.agent.post("/token", params={"code": code}, data=form)
    assert refused(answer, 400, "invalid_request")


@pytest.mark.requirement("AS-86")
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
async def test_only_a_form_is_read(flow: Flow, kind: Any) -> None:
    answer = await flow.agent.post("/token", content="grant_type=refresh_token", headers={"Content-Type": kind})
    assert refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("body", [b"\xff=1", b"x=%ff", b"x=%ed%a0%80", b"&".join(b"a%d=1" % n for n in range(70))])
async def test_a_malformed_form_is_refused(flow: Flow, body: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert refused(await flow.agent.post("/token", content=body, headers=form), 400, "invalid_request")


@pytest.mark.requirement("AS-87")
@pytest.mark.parametrize("path", ["/token", "/revoke"])
async def test_a_giant_body_is_cut_off(flow: Flow, path: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b"x" * 4_096

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(await flow.agent.post(path, content=endless(), headers=form), 413, "invalid_request")
    assert sent <= MAX_BODY_BYTES // 4_096 + 2


async def test_a_body_that_breaks_off_is_refused(flow: Flow) -> None:
    sent = []
    messages = iter([{"type": "http.request", "body": b"grant_", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": "/token", "query_string": b"", "headers": headers}
    await flow.app(scope, receive, send)
    assert sent[0]["status"] == 400


# Client authentication


def _basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.requirement("AS-02")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_confidential_client_proves_itself_in_the_way_it_registered_and_no_other(
    flow: Flow, method: Any
) -> None:
    await flow.sign_in()
    client = await flow.register(token_endpoint_auth_method=method)
    code = await flow.code(client["client_id"])
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    by_header = {"headers": _basic(client["client_id"], client["client_secret"]), "data": form}
    named = form | {"client_id": client["client_id"]}
    by_body = {"data": named | {"client_secret": client["client_secret"]}}
    right, wrong = (by_header, by_body) if method == "client_secret_basic" else (by_body, by_header)

    assert refused(await flow.agent.post("/token", data=named), 401, "invalid_client")
    assert refused(await flow.agent.post("/token", **wrong), 401, "invalid_client")
    assert (await flow.agent.post("/token", **right)).status_code == 200


@pytest.mark.requirement("AS-91")
@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !", "Basic /w==", "Basic bm9jb2xvbg==", "Bearer x", "Basic OnNlY3JldA=="],
)
async def test_an_authorization_header_that_proves_nothing_is_refused_by_its_scheme(flow: Flow, header: Any) -> None:
    answer = await flow.agent.post("/token", data={"grant_type": "x"}, headers={"Authorization": header})
    assert refused(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="oauth"'


@pytest.mark.requirement("AS-91")
async def test_a_wrong_secret_is_refused(flow: Flow) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_basic")
    for secret in ("wrong", "", client["client_secret"] + "x", "\udcff"):
        pair = f"{client['client_id']}:{secret}".encode("utf-8", "surrogatepass")
        header = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        answer = await flow.agent.post("/token", data={"grant_type": "refresh_token"}, headers=header)
        assert refused(answer, 401, "invalid_client")


@pytest.mark.requirement("AS-90")
async def test_a_client_authenticates_in_one_way_only(flow: Flow) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_basic")
    header = _basic(client["client_id"], client["client_secret"])
    for form in ({"client_secret": client["client_secret"]}, {"client_id": "another"}):
        assert refused(await flow.agent.post("/token", data=form, headers=header), 400, "invalid_request")
    twice = [("Authorization", header["Authorization"])] * 2
    assert refused(await flow.agent.post("/token", data={"a": "b"}, headers=twice), 400, "invalid_request")
    same = await flow.agent.post("/token", data={"client_id": client["client_id"]}, headers=header)
    assert "grant_type" in same.json()["error_description"]


async def test_a_public_client_that_sends_a_secret_or_no_name_is_refused(flow: Flow, client: Any) -> None:
    answer = await flow.token(client_id=client["client_id"], client_secret="x", grant_type="refresh_token")
    assert refused(answer, 401, "invalid_client")
    assert refused(await flow.token(grant_type="refresh_token"), 401, "invalid_client")
    assert refused(await flow.token(client_id="unknown", grant_type="refresh_token"), 401, "invalid_client")
    assert "www-authenticate" not in answer.headers


@pytest.mark.requirement("AS-108")
async def test_a_client_that_did_not_register_refresh_tokens_gets_none(flow: Flow) -> None:
    await flow.sign_in()
    client = await flow.register(grant_types=["authorization_code"])
    tokens = (await flow.redeem(client["client_id"], await flow.code(client["client_id"]))).json()
    assert "refresh_token" not in tokens
    assert (await flow.call(tokens["access_token"])).status_code == 200
    assert refused(await flow.refresh(client["client_id"], "x"), 400, "unauthorized_client")


async def test_a_person_who_is_no_longer_known_gets_no_token(
    flow: Flow, client: Any, code: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(store.people))
    assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")
    assert "Sign in first" in (await flow.authorize(client["client_id"])).text


@pytest.mark.requirement("AS-106")
async def test_codes_and_tokens_are_stored_hashed_only(flow: Flow, client: Any, code: str, engine: AsyncEngine) -> None:
    tokens = (await flow.redeem(client["client_id"], code)).json()
    tokens = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    async with engine.connect() as connection:
        rows = [
            tuple(row)
            for table in store.metadata.tables.values()
            for row in (await connection.execute(select(table))).all()
        ]
    for secret in (code, tokens["refresh_token"], tokens["access_token"], VERIFIER):
        assert secret not in str(rows)
        assert secret.encode() not in b"".join(v for row in rows for v in row if isinstance(v, bytes))
    assert CHALLENGE in str(rows)
