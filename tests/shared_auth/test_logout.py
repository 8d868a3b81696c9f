"""Back-channel logout: what the provider ends, and that nobody else can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose, keys, store
from shared_auth.identity.settings import OidcSettings
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import (
    BOTH,
    CALLBACK,
    ISSUER,
    RESOURCE,
    Clock,
    Flow,
    application,
    hidden,
    query_of,
    without,
)

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
def settings() -> AuthSettings:
    oidc = OidcSettings(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return AuthSettings(issuer=ISSUER, resource=RESOURCE, secret=b"s" * 32, oidc=oidc)


@pytest.fixture
async def flow(settings: AuthSettings, engine: AsyncEngine, clock: Clock, company: Company) -> AsyncIterator[Flow]:
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    found = Flow(auth, clock, application(auth))
    async with found.agent, found.browser:
        yield found


async def log_in(flow: Flow, company: Company, browser: httpx.AsyncClient, *, sub: str, sid: str | None) -> str:
    """Return an access token of an agent that ``sub`` let in during the provider's session ``sid``."""
    company.claims = {"sub": sub, "sid": sid}
    client = await flow.register()
    page = await browser.get("/authorize", params=flow.request(client["client_id"]))
    left = await browser.post("/consent", data={"consent": hidden(page, "consent"), "decision": "allow"})
    back = left.headers["location"]
    if not back.startswith(CALLBACK):  # the browser was not signed in before
        back = (await browser.get(company.comes_back(back))).headers["location"]
    answer = await flow.redeem(client["client_id"], query_of(back)["code"])
    return str(answer.json()["access_token"])


def logout_token(company: Company, *, typ: str = "logout+jwt", key: Any = None, **changes: Any) -> str:
    now = int(company.clock())
    claims = {
        "iss": LOGIN,
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 120,
        "jti": "j",
        "sub": "4711",
        "events": {EVENT: {}},
    }
    return jose.sign(without(claims | changes), key or company.key, typ=typ)


async def send(flow: Flow, token: str) -> httpx.Response:
    return await flow.agent.post("/sign-in/logout", data={"logout_token": token})


async def status(flow: Flow, *tokens: str) -> list[int]:
    return [(await flow.call(token)).status_code for token in tokens]


@pytest.mark.requirement("GW-36")
@BOTH
async def test_a_person_who_left_is_out_with_every_agent(flow: Flow, company: Company, engine: AsyncEngine) -> None:
    async with flow.client() as second, flow.client() as others:
        mine = [
            await log_in(flow, company, flow.browser, sub="4711", sid="laptop"),
            await log_in(flow, company, second, sub="4711", sid=None),
        ]
        theirs = await log_in(flow, company, others, sub="4712", sid="desk")
        answer = await send(flow, logout_token(company))
        assert (answer.status_code, answer.headers["cache-control"], answer.text) == (200, "no-store", "")
        assert await status(flow, *mine, theirs) == [401, 401, 200]
        assert (await send(flow, logout_token(company))).status_code == 200, "again, and nothing is left to end"
        assert (await flow.browser.get("/access")).status_code == 303
        assert (await others.get("/access")).status_code == 200
    columns = [store.revocations.c[name] for name in ("revoked_by", "subject", "sid", "ended")]
    async with engine.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(select(*columns))]
    assert rows == [("provider", "4711@login.example", None, 2)]


@pytest.mark.requirement("GW-36")
async def test_one_session_of_the_provider_ends_what_was_begun_in_it(flow: Flow, company: Company) -> None:
    async with flow.client() as second:
        laptop = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
        phone = await log_in(flow, company, second, sub="4711", sid="phone")
        assert (await send(flow, logout_token(company, sub=None, sid="laptop"))).status_code == 200
        assert await status(flow, laptop, phone) == [401, 200]
        assert (await flow.browser.get("/access")).status_code == 303
        assert (await second.get("/access")).status_code == 200
        assert (await send(flow, logout_token(company, sub="4712", sid="phone"))).status_code == 200
        assert await status(flow, phone) == [200], "the session is another person's"
        assert (await send(flow, logout_token(company, sid="phone"))).status_code == 200
        assert await status(flow, phone) == [401]


@pytest.mark.requirement("GW-37")
async def test_a_repeated_token_ends_nothing_that_began_later(flow: Flow, company: Company) -> None:
    before = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
    token = logout_token(company)
    assert (await send(flow, token)).status_code == 200
    flow.clock.advance(100)
    after = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
    assert (await send(flow, token)).status_code == 200
    assert await status(flow, before, after) == [401, 200]


@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "JWT"])
async def test_older_providers_are_understood(flow: Flow, company: Company, typ: str) -> None:
    token = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
    assert (await send(flow, logout_token(company, typ=typ, exp=None, aud=[CLIENT_ID]))).status_code == 200
    assert await status(flow, token) == [401]


@pytest.mark.requirement("GW-37")
@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "another client"},
        {"aud": None},
        {"sub": None},
        {"sub": None, "sid": ""},
        {"sub": ""},
        {"sub": ["4711"]},
        {"sub": None, "sid": 7},
        {"sid": "s" * 300},
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"events": {EVENT: True}},
        {"nonce": "n"},
        {"jti": None},
        {"iat": None},
        {"iat": 1_799_999_000},
        {"iat": 1_800_000_061},
        {"exp": 1_799_999_900},
        {"exp": "x"},
        {"typ": "at+jwt"},
        {"key": keys.generate()},
    ],
)
async def test_a_token_that_is_not_exactly_right_ends_nothing(
    flow: Flow, company: Company, changes: dict[str, Any]
) -> None:
    token = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
    answer = await send(flow, logout_token(company, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert await status(flow, token) == [200]


@pytest.mark.requirement("GW-37")
async def test_an_id_token_or_nothing_at_all_signs_nobody_out(flow: Flow, company: Company) -> None:
    token = await log_in(flow, company, flow.browser, sub="4711", sid="laptop")
    id_token = logout_token(company, typ="JWT", events=None, nonce="n")
    for wrong in (id_token, token, "", "x", "a.b.c"):
        assert (await send(flow, wrong)).status_code == 400
    assert (await flow.agent.get("/sign-in/logout")).status_code == 405
    assert await status(flow, token) == [200]


async def test_while_the_providers_keys_are_unknown_it_is_told_to_try_again(flow: Flow, company: Company) -> None:
    company.replies["/keys"] = lambda _: httpx.Response(500)
    assert (await send(flow, logout_token(company))).status_code == 503
