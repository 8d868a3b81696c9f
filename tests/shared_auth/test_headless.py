"""Clients without a person: RFC 6749 section 4.4, RFC 7521, RFC 7523 section 3."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from shared_auth import jose, store
from shared_auth.authorization.assertions import MAX_LIFE_S, TYPE
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.declared import Declared, DeclaredClient, read_keys
from shared_auth.configuration import ConfigurationError
from shared_auth.keys import generate, public_half
from shared_auth.people import People, Person
from shared_auth.reasons import Denied
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, CALLBACK, ISSUER, RESOURCE, Clock, Flow, application, refused
from tests.shared_auth.headless import BUILD, EDITOR, KEY, NIGHTLY, OTHER_KEY, SECRET, ask_with, assertion, claims, twin

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
async def auth(settings: AuthSettings, engine: AsyncEngine, clock: Clock) -> Auth:
    found = Auth(settings, engine, clients=[BUILD, NIGHTLY, EDITOR], clock=clock)
    await found.start()
    return found


async def by_secret(flow: Flow, secret: str = SECRET, client_id: str = "build", **changes: Any) -> Any:
    header = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = {"grant_type": "client_credentials"} | changes
    return await flow.agent.post("/token", data=form, headers={"Authorization": f"Basic {header}"})


@pytest.mark.requirement("AS-121")
async def test_a_client_acts_for_itself_with_its_own_groups_and_is_never_a_person(flow: Flow) -> None:
    answer = await by_secret(flow, resource=RESOURCE, scope="mcp")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert sorted(answer.json()) == ["access_token", "expires_in", "scope", "token_type"]
    principal = (await flow.call(answer.json()["access_token"])).json()["principal"]
    assert principal["subject"] == "client:build"
    assert principal["groups"] == ["robots"]
    assert (principal["client_id"], principal["client_name"]) == ("build", "The build")


@pytest.mark.requirement("AS-80")
@pytest.mark.parametrize(
    ("change", "error"),
    [({"resource": "https://evil.example/mcp"}, "invalid_target"), ({"scope": "admin"}, "invalid_scope")],
)
async def test_scope_and_resource_are_judged_as_for_everybody(flow: Flow, change: Any, error: Any) -> None:
    assert refused(await by_secret(flow, **change), 400, error)


async def test_a_token_of_a_client_ends_when_it_is_revoked(flow: Flow) -> None:
    token = (await by_secret(flow)).json()["access_token"]
    assert await flow.auth.revoke_grants(subject="client:build") == 1
    assert (await flow.call(token)).status_code == 401


async def test_a_wrong_secret_or_another_method_is_refused(flow: Flow) -> None:
    assert refused(await by_secret(flow, secret="x"), 401, "invalid_client")
    assert refused(await by_secret(flow, secret=""), 401, "invalid_client")
    form = {"grant_type": "client_credentials", "client_id": "build"}
    assert refused(await flow.token(**form, client_secret=SECRET), 401, "invalid_client")
    assert refused(await flow.token(**form), 401, "invalid_client")
    signed = assertion(flow.clock, iss="build", sub="build")
    assert refused(await ask_with(flow, signed), 401, "invalid_client")


@pytest.mark.requirement("AS-120")
async def test_only_a_declared_client_may_act_for_itself(flow: Flow) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_basic")
    stranger = await by_secret(flow, client["client_secret"], client["client_id"])
    assert refused(stranger, 400, "unauthorized_client")
    asked = await flow.token(grant_type="client_credentials", client_id="editor")
    assert refused(asked, 400, "unauthorized_client")
    assert refused(await by_secret(flow, grant_type="refresh_token"), 400, "unauthorized_client")
    assert refused(await by_secret(flow, grant_type="authorization_code"), 400, "unauthorized_client")


@pytest.mark.requirement("AS-123")
@BOTH
async def test_a_signed_assertion_proves_a_client_once(flow: Flow) -> None:
    signed = assertion(flow.clock)
    answer = await ask_with(flow, signed, client_id="nightly")
    principal = (await flow.call(answer.json()["access_token"])).json()["principal"]
    assert (principal["subject"], principal["groups"]) == ("client:nightly", [])
    assert refused(await ask_with(flow, signed), 401, "invalid_client")


@pytest.mark.requirement("AS-123", "JW-28")
async def test_the_twin_of_an_assertion_is_a_second_use_of_it(flow: Flow) -> None:
    signed = assertion(flow.clock)
    assert (await ask_with(flow, twin(signed))).status_code == 200
    assert refused(await ask_with(flow, signed), 401, "invalid_client")


@pytest.mark.requirement("AS-123")
@BOTH
async def test_of_many_uses_of_one_assertion_at_once_one_wins(flow: Flow) -> None:
    signed = assertion(flow.clock)
    answers = await asyncio.gather(*(ask_with(flow, signed) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 7]


@pytest.mark.requirement("AS-123")
async def test_the_replay_table_is_shared_by_replicas_and_forgets_what_has_expired(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    other = Auth(settings, engine, clients=[NIGHTLY], clock=flow.clock)
    await other.start()
    replica = Flow(other, flow.clock, application(other))
    async with replica.agent, replica.browser:
        signed = assertion(flow.clock)
        assert (await ask_with(flow, signed)).status_code == 200
        assert refused(await ask_with(replica, signed), 401, "invalid_client")
    flow.clock.advance(61)
    await flow.auth.prune()
    async with engine.connect() as connection:
        assert (await connection.scalar(select(func.count()).select_from(store.replays))) == 0
    assert refused(await ask_with(flow, signed), 401, "invalid_client")


NOW = int(Clock().now)


@pytest.mark.requirement("AS-122")
@pytest.mark.parametrize(
    "change",
    [
        {"aud": f"{ISSUER}/token"},
        {"aud": f"{ISSUER}/"},
        {"aud": [ISSUER]},
        {"aud": [ISSUER, "https://evil.example"]},
        {"aud": None},
        {"iss": "build"},
        {"iss": None},
        {"exp": NOW},
        {"exp": NOW + MAX_LIFE_S + 61},
        {"exp": NOW + 60.5},
        {"exp": True},
        {"exp": "soon"},
        {"exp": None},
        {"iat": NOW + 61},
        {"iat": "now"},
        {"nbf": NOW + 61},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 201},
        {"key": OTHER_KEY},
        {"key": OTHER_KEY | {"kid": KEY["kid"]}},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
    ],
)
async def test_an_assertion_that_is_not_exactly_right_is_refused_and_spends_nothing(
    flow: Flow, engine: AsyncEngine, change: Any
) -> None:
    answer = await ask_with(flow, assertion(flow.clock, **change))
    assert refused(answer, 401, "invalid_client")
    assert "evil" not in answer.text
    async with engine.connect() as connection:
        assert (await connection.scalar(select(func.count()).select_from(store.replays))) == 0


@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt"])
async def test_both_kinds_of_assertion_are_known(flow: Flow, typ: Any) -> None:
    assert (await ask_with(flow, assertion(flow.clock, typ=typ, iat=None))).status_code == 200


async def test_an_assertion_need_not_say_what_kind_it_is(flow: Flow) -> None:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    number = int.from_bytes(base64.urlsafe_b64decode(KEY["d"] + "="), "big")
    private = ec.derive_private_key(number, ec.SECP256R1())
    head = part(json.dumps({"alg": "ES256", "kid": KEY["kid"]}).encode())
    signed = f"{head}.{part(json.dumps(claims(flow.clock)).encode())}"
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(SHA256())))
    signature = part(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert (await ask_with(flow, f"{signed}.{signature}")).status_code == 200


@pytest.mark.parametrize("sent", ["", "x", "a.b.c", "e30.e30.", "e30.W10.x", "é.é.é"])
async def test_what_is_no_assertion_is_refused(flow: Flow, sent: Any) -> None:
    assert refused(await ask_with(flow, sent), 401, "invalid_client")


async def test_an_access_token_of_ours_is_no_assertion(flow: Flow) -> None:
    token = (await ask_with(flow, assertion(flow.clock))).json()["access_token"]
    assert refused(await ask_with(flow, token), 401, "invalid_client")


async def test_an_unsigned_or_symmetric_assertion_is_refused(flow: Flow) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = assertion(flow.clock).split(".")[1]
    for alg in ("none", "HS256"):
        head = part({"alg": alg, "kid": KEY["kid"], "typ": "JWT"})
        assert refused(await ask_with(flow, f"{head}.{body}."), 401, "invalid_client")


async def test_an_assertion_goes_alone_and_names_its_client(flow: Flow) -> None:
    signed = assertion(flow.clock)
    assert refused(await ask_with(flow, signed, client_id="build"), 400, "invalid_request")
    assert refused(await ask_with(flow, signed, client_secret="x"), 400, "invalid_request")
    header = {"Authorization": "Basic bmlnaHRseTp4"}
    form = {"client_assertion": signed, "grant_type": "client_credentials"}
    assert refused(await flow.agent.post("/token", data=form, headers=header), 400, "invalid_request")
    assert refused(await flow.token(**form), 401, "invalid_client")
    assert refused(await ask_with(flow, signed, client_assertion_type="saml"), 401, "invalid_client")
    assert refused(await ask_with(flow, assertion(flow.clock, sub="unknown", iss="unknown")), 401, "invalid_client")
    assert refused(await ask_with(flow, assertion(flow.clock, sub=7)), 401, "invalid_client")


async def test_a_registered_client_cannot_claim_a_key(flow: Flow) -> None:
    answer = await flow.agent.post(
        "/register", json={"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt"}
    )
    assert refused(answer, 400, "invalid_client_metadata")
    client = await flow.register()
    signed = assertion(flow.clock, sub=client["client_id"], iss=client["client_id"])
    assert refused(await ask_with(flow, signed), 401, "invalid_client")


@pytest.mark.requirement("AS-53")
async def test_people_sign_in_through_a_declared_client_without_its_registration(flow: Flow) -> None:
    await flow.sign_in()
    page = await flow.authorize("editor")
    assert "The editor" in page.text
    assert "nobody has verified" not in page.text
    tokens = (await flow.redeem("editor", await flow.code("editor"))).json()
    principal = (await flow.call(tokens["access_token"])).json()["principal"]
    assert (principal["subject"], principal["client_id"]) == ("ada", "editor")
    assert (await flow.refresh("editor", tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("address", ["https://evil.example/callback", f"{CALLBACK}/", "http://127.0.0.1:5000/other"])
async def test_a_declared_client_answers_to_its_declared_addresses_only(flow: Flow, address: Any) -> None:
    await flow.sign_in()
    assert (await flow.authorize("editor", redirect_uri=address)).status_code == 400
    assert (await flow.authorize("build")).status_code == 400


async def test_the_metadata_names_what_declared_clients_use(flow: Flow) -> None:
    document = (await flow.agent.get(METADATA)).json()
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token", "client_credentials"]
    methods = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
    for endpoint in ("token_endpoint", "revocation_endpoint"):
        assert document[f"{endpoint}_auth_methods_supported"] == methods
        assert document[f"{endpoint}_auth_signing_alg_values_supported"] == ["ES256", "RS256"]


async def test_a_client_revokes_its_own_token_with_an_assertion(flow: Flow) -> None:
    token = (await ask_with(flow, assertion(flow.clock))).json()["access_token"]
    signed = {
        "client_assertion": assertion(flow.clock),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    assert (await flow.agent.post("/revoke", data={"token": token} | signed)).status_code == 200
    assert (await flow.call(token)).status_code == 401


@pytest.mark.requirement("AS-93")
async def test_no_person_can_look_like_a_client(engine: AsyncEngine) -> None:
    with pytest.raises(Denied, match="subject_reserved"):
        await People(engine).remember(Person("client:build", "", "", frozenset()), now=1)


GOOD: dict[str, Any] = {
    "client_id": "ci",
    "name": "CI",
    "auth_method": "client_secret_basic",
    "grant_types": frozenset({"client_credentials"}),
    "secret_hash": "0" * 64,
}


@pytest.mark.requirement("AS-120", "SH-06")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client_id": "a b"}, "the id"),
        ({"client_id": ""}, "the id"),
        ({"client_id": "https://client.example/a"}, "the id"),
        ({"client_id": "portal-cli"}, "belongs"),
        ({"name": ""}, "name"),
        ({"grant_types": frozenset()}, "grant_types"),
        ({"grant_types": frozenset({"password"})}, "grant_types"),
        ({"grant_types": frozenset({"refresh_token"})}, "grant_types"),
        ({"grant_types": frozenset({"authorization_code"})}, "redirect_uris"),
        ({"redirect_uris": (CALLBACK,)}, "redirect_uris"),
        (
            {"grant_types": frozenset({"authorization_code"}), "redirect_uris": ("http://a.example/",)},
            "redirect_uris",
        ),
        ({"auth_method": "none", "secret_hash": None}, "client_credentials"),
        ({"auth_method": "none"}, "client_credentials"),
        ({"secret_hash": None}, "secret_hash"),
        ({"secret_hash": "hunter2"}, "client-secret"),
        ({"auth_method": "private_key_jwt", "secret_hash": None}, "jwks"),
        ({"scopes": frozenset()}, "scopes"),
        ({"scopes": frozenset({"admin"})}, "scopes"),
        ({"groups": frozenset({""})}, "groups"),
    ],
)
def test_an_unsafe_declaration_does_not_start(change: Any, says: Any) -> None:
    with pytest.raises(ConfigurationError, match=says) as refusal:
        DeclaredClient(**(GOOD | change))
    assert "hunter2" not in str(refusal.value)


def test_an_id_is_declared_once() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Declared([BUILD, BUILD])


def test_neither_secrets_nor_keys_are_in_a_repr() -> None:
    assert BUILD.secret_hash is not None
    assert BUILD.secret_hash not in repr(BUILD)
    assert KEY["x"] not in repr(NIGHTLY)


@pytest.mark.parametrize(
    ("jwks", "says"),
    [
        ([{k: v for k, v in generate().items() if k not in {"d", "kid"}}], "kid"),
        ([generate()], "private"),
        ([{"kty": "oct", "kid": "a"}], "EC P-256"),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}], "private"),
        ([{"kty": "EC", "crv": "P-521", "kid": "a"}], "EC P-256"),
        ([{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}], "EC P-256"),
        ([{"kty": "EC", "crv": "P-256", "kid": "a"}] * 2, "kid of its own"),
        ([{"kty": "EC", "crv": "P-256", "kid": str(n)} for n in range(11)], "at most"),
    ],
)
def test_a_key_that_proves_nothing_does_not_start(jwks: Any, says: Any) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_keys("ci", jwks)


def test_an_assertion_is_read_only_to_find_its_client() -> None:
    with pytest.raises(jose.BadToken):
        jose.claimed(None)


def test_public_keys_are_read_by_their_names() -> None:
    key = public_half(generate())
    assert dict(read_keys("ci", [key])) == {key["kid"]: key}


async def test_where_nobody_judges_assertions_none_is_accepted(engine: AsyncEngine, clock: Clock) -> None:
    clients = Clients(engine, clock=clock, declared=Declared([NIGHTLY]))
    request = Request({"type": "http", "headers": []})
    with pytest.raises(Denied, match="client_method_wrong"):
        await clients.authenticate(request, {"client_assertion": assertion(clock), "client_assertion_type": TYPE})
