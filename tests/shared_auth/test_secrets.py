"""Secrets: how many bits they have, how they are compared, how they travel, and whose are never kept."""

from __future__ import annotations

import ast
import base64
import hmac
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote_plus

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

import shared_auth
from shared_auth import jose, opaque, store
from shared_auth.authorization.declared import DeclaredClient
from shared_auth.identity.settings import OidcSettings
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, application, query_of, refused

Compared = list[tuple[Any, Any]]


@pytest.mark.requirement("AS-25")
@pytest.mark.parametrize("kind", get_args(opaque.Kind))
def test_every_opaque_value_has_256_random_bits(kind: opaque.Kind) -> None:
    made = {opaque.new(kind) for _ in range(50)}
    assert len(made) == 50
    for value in made:
        prefix, secret = value[:4], value[4:]
        assert prefix.endswith("_")
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Everything that is compared in constant time, as it was given."""
    found: Compared = []
    constant = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        found.append((one, other))
        return constant(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    return found


@pytest.mark.requirement("AS-137")
async def test_a_clients_secret_and_a_verifier_are_compared_in_constant_time(flow: Flow, compared: Compared) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_post")
    named = {"client_id": client["client_id"], "grant_type": "refresh_token"}
    assert refused(await flow.token(**named, client_secret="wrong"), 401, "invalid_client")
    assert compared == [(opaque.digest("wrong"), opaque.digest(client["client_secret"]))]

    await flow.sign_in()
    public = await flow.register()
    code = await flow.code(public["client_id"])
    compared.clear()
    assert refused(await flow.redeem(public["client_id"], code, code_verifier="w" * 43), 400, "invalid_grant")
    assert [len(one) for pair in compared for one in pair] == [43, 43]


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
async def abroad(engine: AsyncEngine, clock: Clock, company: Company) -> Any:
    """A flow whose people sign in at the company's provider."""
    oidc = OidcSettings(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    settings = AuthSettings(issuer=ISSUER, resource=RESOURCE, secret=b"s" * 32, oidc=oidc)
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        yield flow


async def _leaves(flow: Flow) -> tuple[str, str]:
    client_id = (await flow.register())["client_id"]
    answer = await flow.decide(await flow.authorize(client_id))
    return client_id, answer.headers["location"]


@pytest.mark.requirement("AS-137")
async def test_state_and_nonce_are_compared_in_constant_time(
    abroad: Flow, company: Company, compared: Compared
) -> None:
    _, location = await _leaves(abroad)
    asked = query_of(location)
    company.claims = {"nonce": "another"}
    await abroad.browser.get(company.comes_back(location))
    ours = [(one.decode(), other.decode()) for one, other in compared]
    assert ours == [(asked["state"], asked["state"]), ("another", asked["nonce"])]


SECRET_NAMES = frozenset({"secret", "verifier", "nonce", "state", "token", "password", "signature"})


def _name(node: ast.expr) -> object:
    if isinstance(node, ast.Subscript):
        return getattr(node.slice, "value", None)
    return getattr(node, "id", None) or getattr(node, "attr", None)


@pytest.mark.requirement("AS-137")
def test_no_secret_is_compared_with_an_equals_sign() -> None:
    """Columns of the database hold hashes, and are found by them. A constant of ours, such as READY, is no secret."""
    seen = 0
    for path in Path(shared_auth.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                seen += 1
                sides = [str(_name(one)) for one in (node.left, node.comparators[0])]
                assert any(side.isupper() for side in sides) or not SECRET_NAMES & set(sides), f"{path}:{node.lineno}"
    assert seen > 50


@pytest.mark.requirement("AS-92")
@pytest.mark.parametrize("secret", ["p%ss:w+rd /&=", "ümläut", "plain"])
async def test_a_secret_in_the_header_is_form_encoded(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, secret: Any
) -> None:
    declared = DeclaredClient(
        client_id="build",
        name="Build",
        auth_method="client_secret_basic",
        grant_types=frozenset({"client_credentials"}),
        secret_hash=opaque.digest(secret),
    )
    auth = Auth(settings, engine, clients=[declared], clock=clock)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        both = base64.b64encode(f"build:{quote_plus(secret)}".encode()).decode()
        form = {"grant_type": "client_credentials"}
        answer = await flow.agent.post("/token", data=form, headers={"Authorization": f"Basic {both}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.requirement("GW-40")
async def test_no_token_of_the_provider_is_kept_or_passed_on(
    abroad: Flow, company: Company, engine: AsyncEngine
) -> None:
    given: list[str] = ["an access token"]

    def sign(claims: Any) -> str:
        given.append(jose.sign(claims, company.key, typ="JWT"))
        return given[-1]

    company.sign = sign
    client_id, location = await _leaves(abroad)
    back = await abroad.browser.get(company.comes_back(location))
    tokens = (await abroad.redeem(client_id, query_of(back.headers["location"])["code"])).json()
    assert (await abroad.call(tokens["access_token"])).status_code == 200
    async with engine.connect() as connection:
        kept = [
            str(tuple(row))
            for table in store.metadata.tables.values()
            for row in await connection.execute(select(table))
        ]
    assert len(given) == 2
    for secret in given:
        for part in secret.split("."):
            assert part not in "".join(kept) + str(back.headers) + str(tokens) + str(
                jose.claimed(tokens["access_token"])
            )
