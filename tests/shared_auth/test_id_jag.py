"""Identity assertions as grants: what the draft demands, line by line, and what an attacker would try."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose, keys, opaque, store
from shared_auth.authorization.declared import JWT_BEARER, DeclaredClient
from shared_auth.configuration import ConfigurationError
from shared_auth.identity.settings import OidcSettings
from shared_auth.people import People, Person
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import BOTH, ISSUER, RESOURCE, Clock, Flow, application, refused, without
from tests.shared_auth.headless import BUILD, SECRET

DESK = DeclaredClient(
    client_id="desk",
    name="The desk",
    auth_method="client_secret_post",
    grant_types=frozenset({JWT_BEARER}),
    secret_hash=opaque.digest(SECRET),
)
_numbers = itertools.count()


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
def oidc() -> OidcSettings:
    return OidcSettings(
        issuer=LOGIN,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        identity_assertions=True,
        required_claims={"hd": "example.com"},
    )


@pytest.fixture
def settings(oidc: OidcSettings) -> AuthSettings:
    return AuthSettings(issuer=ISSUER, resource=RESOURCE, secret=b"s" * 32, oidc=oidc)


@pytest.fixture
async def flow(settings: AuthSettings, engine: AsyncEngine, clock: Clock, company: Company) -> AsyncIterator[Flow]:
    auth = Auth(settings, engine, clients=[DESK, BUILD], clock=clock, transport=company.transport)
    await auth.start()
    found = Flow(auth, clock, application(auth))
    async with found.agent, found.browser:
        yield found


def assertion(company: Company, *, typ: str = "oauth-id-jag+jwt", key: Any = None, **changes: Any) -> str:
    now = int(company.clock())
    claims = {
        "iss": LOGIN,
        "sub": "4711",
        "aud": ISSUER,
        "client_id": "desk",
        "resource": RESOURCE,
        "scope": "mcp",
        "jti": f"j{next(_numbers)}",
        "iat": now,
        "exp": now + 300,
        "hd": "example.com",
        "groups": ["staff"],
        "name": "Grace Hopper",
    }
    return jose.sign(without(claims | changes), key or company.key, typ=typ)


async def present(flow: Flow, signed: str, **changes: Any) -> httpx.Response:
    form = {"grant_type": JWT_BEARER, "client_id": "desk", "client_secret": SECRET, "assertion": signed}
    return await flow.token(**(form | changes))


@pytest.mark.requirement("AS-140")
@BOTH
async def test_a_client_acts_for_the_person_whom_the_provider_named(flow: Flow, company: Company) -> None:
    answer = await present(flow, assertion(company, scope=None))
    assert answer.json()["scope"] == "mcp", "what is not said is not restricted"
    answer = await present(flow, assertion(company), resource=RESOURCE, scope="mcp")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert sorted(body) == ["access_token", "expires_in", "scope", "token_type"], "no refresh token"
    assert answer.headers["cache-control"] == "no-store"
    principal = (await flow.call(body["access_token"])).json()["principal"]
    assert (principal["subject"], principal["client_id"]) == ("4711@login.example", "desk")
    assert (principal["name"], principal["groups"]) == ("Grace Hopper", ["staff"])
    assert await flow.auth.revoke_grants(subject="4711@login.example") == 2
    assert (await flow.call(body["access_token"])).status_code == 401


@pytest.mark.requirement("AS-140")
@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": LOGIN},
        {"aud": None},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": f"{ISSUER}/"},
        {"client_id": "build"},
        {"client_id": None},
        {"resource": None},
        {"resource": "https://other.example/mcp"},
        {"resource": [RESOURCE, "https://other.example/mcp"]},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 201},
        {"exp": None},
        {"exp": 1_800_000_000},
        {"exp": 1_800_000_301},
        {"exp": 1_800_000_300.0},
        {"exp": True},
        {"iat": None},
        {"iat": 1_799_999_000},
        {"iat": 1_800_000_061, "exp": 1_800_000_100},
        {"nbf": 1_800_000_061},
        {"cnf": {"jkt": "x"}},
        {"authorization_details": [{"type": "x"}]},
    ],
)
async def test_an_assertion_that_is_not_exactly_right_is_refused_and_not_spent(
    flow: Flow, company: Company, changes: dict[str, Any]
) -> None:
    jti = {"jti": f"same-{next(_numbers)}"}
    assert refused(await present(flow, assertion(company, **(jti | changes))), 400, "invalid_grant")
    assert (await present(flow, assertion(company, **jti))).status_code == 200


@pytest.mark.requirement("AS-140")
async def test_a_signature_of_somebody_else_is_refused(flow: Flow, company: Company) -> None:
    forged = keys.generate() | {"kid": company.key["kid"]}
    for signed in (assertion(company, key=forged), assertion(company, key=keys.generate()), "x", "a.b.c", ""):
        assert (await present(flow, signed)).status_code == 400


@pytest.mark.requirement("AS-140")
async def test_an_id_token_is_no_grant(flow: Flow, company: Company) -> None:
    signed = assertion(company, typ="JWT", aud=CLIENT_ID, nonce="n", client_id=None, resource=None)
    assert refused(await present(flow, signed), 400, "invalid_grant")


@pytest.mark.requirement("AS-140")
@BOTH
async def test_of_many_uses_of_one_assertion_at_once_one_wins(flow: Flow, company: Company) -> None:
    signed = assertion(company)
    answers = await asyncio.gather(*(present(flow, signed) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert all(refused(answer, 400, "invalid_grant") for answer in answers if answer.status_code != 200)


@pytest.mark.requirement("AS-140")
async def test_only_a_declared_client_that_proves_itself_may_present_one(flow: Flow, company: Company) -> None:
    signed = assertion(company)
    assert refused(await present(flow, signed, client_secret="wrong"), 401, "invalid_client")
    assert refused(await present(flow, signed, client_secret=None), 401, "invalid_client")
    registered = await flow.register()
    answer = await present(flow, signed, client_id=registered["client_id"], client_secret=None)
    assert refused(answer, 400, "unauthorized_client")
    build = await flow.agent.post(
        "/token", data={"grant_type": JWT_BEARER, "assertion": signed}, auth=("build", SECRET)
    )
    assert refused(build, 400, "unauthorized_client")
    assert refused(await present(flow, signed, assertion=None), 400, "invalid_request")
    assert refused(await present(flow, signed, resource="https://other.example/mcp"), 400, "invalid_target")
    assert refused(await present(flow, signed, scope="other"), 400, "invalid_scope")
    assert refused(await present(flow, assertion(company, scope="other")), 400, "invalid_scope")
    assert (await present(flow, signed)).status_code == 200


@pytest.mark.requirement("AS-140")
@pytest.mark.parametrize("changes", [{"hd": None}, {"hd": "evil.example"}, {"sub": "client:build"}, {"groups": "x\n"}])
async def test_a_person_who_may_not_sign_in_is_not_let_in_this_way(
    flow: Flow, company: Company, changes: dict[str, Any]
) -> None:
    assert refused(await present(flow, assertion(company, **changes)), 400, "invalid_grant")


async def test_groups_are_those_of_the_assertion_or_of_a_sign_in_that_still_counts(
    flow: Flow, company: Company, engine: AsyncEngine, oidc: OidcSettings
) -> None:
    async def groups(**changes: Any) -> Any:
        token = (await present(flow, assertion(company, **changes))).json()["access_token"]
        return (await flow.call(token)).json()["principal"]["groups"]

    assert await groups(groups=None) == []
    known = Person("4711@login.example", "Grace", "", frozenset({"portal-writers"}))
    await People(engine).remember(known, now=int(flow.clock()))
    assert await groups(groups=None) == ["portal-writers"]
    assert await groups(groups=[]) == []
    assert await groups() == ["staff"]
    async with engine.begin() as connection:
        old = int(flow.clock()) - oidc.sign_in_again_s - 1
        await connection.execute(update(store.people).values(updated_at=old))
    assert await groups(groups=None) == []
    async with engine.connect() as connection:
        assert await connection.scalar(select(store.people.c.updated_at)) == old, "no sign-in took place"


async def test_it_is_advertised_when_it_is_served(flow: Flow, settings: AuthSettings, engine: AsyncEngine) -> None:
    document = (await flow.agent.get("/.well-known/oauth-authorization-server")).json()
    assert JWT_BEARER in document["grant_types_supported"]
    assert document["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
    auth = Auth(settings, engine, clients=[BUILD])
    await auth.start()
    off = Flow(auth, flow.clock, application(auth))
    document = (await off.agent.get("/.well-known/oauth-authorization-server")).json()
    assert JWT_BEARER not in document["grant_types_supported"]
    assert "authorization_grant_profiles_supported" not in document
    answer = await off.token(grant_type=JWT_BEARER, client_id="build", client_secret=SECRET, assertion="x")
    assert answer.status_code in {400, 401}


async def test_a_client_that_cannot_be_served_so_stops_the_start(engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="identity_assertions"):
        Auth(AuthSettings(ISSUER, RESOURCE, b"s" * 32, local_sign_in=True), engine, clients=[DESK])
    with pytest.raises(ConfigurationError, match="desk"):
        DeclaredClient("desk", "The desk", "none", frozenset({JWT_BEARER}))


async def test_while_the_provider_is_down_nobody_gets_in(flow: Flow, company: Company) -> None:
    company.replies["/keys"] = lambda _: httpx.Response(500)
    answer = await present(flow, assertion(company))
    assert refused(answer, 503, "temporarily_unavailable")
