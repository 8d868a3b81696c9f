"""The way back: who came for a page of ours is there after the sign-in, and nobody is ever led anywhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from shared_auth import store
from shared_auth.authorization.sessions import PENDING_S
from shared_auth.identity.settings import OidcSettings
from shared_auth.sealing import Seal
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, application, page_cookie

COOKIE = "portal_page_8300"
LISTED = [
    *("/access", "/programs", "/programs/0a9f", "/connections", "/connect/gitlab"),
    "/connect/gitlab?scope=api+x%3Ay",
]
UNLISTED = [
    "//evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "https://evil.example/programs",
    "https:evil.example",
    "javascript:alert(1)",
    "@evil.example",
    ".evil.example",
    ":80@evil.example/access",
    "/access/",
    "/access?x=1",
    "/access#x",
    "/access//evil.example",
    "/ACCESS",
    "/%61ccess",
    "/programs/../access",
    "/programs/0a9f/",
    "/programs/0a?x=1",
    "/connect/gitlab?scope=a b",
    "/connect/gitlab?scope=a&x=1",
    "/connect/gitlab/site",
    "/connect/callback",
    "/connect/callback?scope=a",
    "/connect/callback?code=1&state=2",
    "/connect/gitlab\r\nSet-Cookie: a=b",
    "/programs\n",
    "/sign-in",
    "/sign-out",
    "/sign-in/callback?code=1&state=2",
    "/disconnect/gitlab",
    "/device",
    "/authorize?client_id=x",
    "/",
    "é",
    "",
]


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
async def abroad(engine: AsyncEngine, clock: Clock, company: Company) -> AsyncIterator[Flow]:
    """A portal whose people sign in at the company's provider."""
    oidc = OidcSettings(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    settings = AuthSettings(issuer=ISSUER, resource=RESOURCE, secret=b"s" * 32, oidc=oidc)
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    found = Flow(auth, clock, application(auth))
    async with found.agent, found.browser:
        yield found


def opened(flow: Flow, page: str) -> str:
    """Let a signed-out browser open ``page``; return the cookie that it gets, "" for none."""
    path, _, query = page.partition("?")
    request = Request({"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []})
    response = Response()
    flow.auth.remember_page(response, request)
    return response.headers.get("set-cookie", "").partition(";")[0].removeprefix(f"{COOKIE}=")


def carry(browser: httpx.AsyncClient, cookie: str) -> None:
    if COOKIE in browser.cookies:
        browser.cookies.delete(COOKIE)
    browser.cookies.set(COOKIE, cookie, domain="127.0.0.1", path="/")


async def left(flow: Flow) -> str:
    """Press the button of the sign-in; return where the browser is sent."""
    return (await flow.browser.post("/sign-in")).headers["location"]


async def led_to(flow: Flow, company: Company, departure: str) -> str:
    """Come back from the provider; return where the browser is led."""
    answer = await flow.browser.get(company.comes_back(departure))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("page", LISTED)
async def test_who_signs_in_is_back_once_at_the_page_that_they_came_for(flow: Flow, page: str) -> None:
    carry(flow.browser, opened(flow, page))
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}{page}"
    assert COOKIE not in flow.browser.cookies
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("page", LISTED)
async def test_so_are_they_who_sign_in_at_the_provider(abroad: Flow, company: Company, page: str) -> None:
    carry(abroad.browser, opened(abroad, page))
    departure = await left(abroad)
    assert COOKIE not in abroad.browser.cookies
    assert await led_to(abroad, company, departure) == f"{ISSUER}{page}"
    assert await led_to(abroad, company, await left(abroad)) == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
async def test_the_access_page_leads_back_to_itself(flow: Flow) -> None:
    answer = await flow.browser.get("/access")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ISSUER}/")
    (cookie,) = answer.headers.get_list("set-cookie")
    for said in ("HttpOnly", "SameSite=lax", f"Max-Age={PENDING_S}", "Path=/"):
        assert said in cookie
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/access"


@pytest.mark.requirement("AS-143")
async def test_so_it_does_through_the_provider(abroad: Flow, company: Company) -> None:
    await abroad.browser.get("/access")
    assert await led_to(abroad, company, await left(abroad)) == f"{ISSUER}/access"
    assert (await abroad.browser.get("/access")).status_code == 200


@pytest.mark.requirement("AS-143")
async def test_a_form_that_was_sent_too_late_leads_nowhere(flow: Flow) -> None:
    answer = await flow.browser.post("/access", data={"end": "all-mine"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("page", [page for page in UNLISTED if page])
def test_no_other_page_is_remembered(auth: Auth, clock: Clock, page: str) -> None:
    assert opened(Flow(auth, clock, application(auth)), page) == ""


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("page", UNLISTED)
async def test_a_sign_in_leads_nowhere_else_even_if_we_had_sealed_it(flow: Flow, page: str) -> None:
    carry(flow.browser, page_cookie(page))
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("page", UNLISTED)
async def test_nor_does_one_at_the_provider(abroad: Flow, company: Company, page: str) -> None:
    carry(abroad.browser, page_cookie(page))
    assert await led_to(abroad, company, await left(abroad)) == f"{ISSUER}/"


FORGED = [
    base64.urlsafe_b64encode(b"/access").decode(),
    base64.urlsafe_b64encode(b'["/access", 1900000000]').decode(),
    page_cookie("/access", secret=b"t" * 32),
    page_cookie("/access", row="login:way back"),
    page_cookie("/access", until=1_800_000_000),
    *("/access", "!", "5g==", "", "AAAA", "A" * 3_000),
]


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("cookie", FORGED)
async def test_what_we_did_not_seal_or_sealed_too_long_ago_is_no_page(flow: Flow, cookie: str) -> None:
    carry(flow.browser, cookie)
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("cookie", FORGED)
async def test_nor_does_the_provider_lead_there(abroad: Flow, company: Company, cookie: str) -> None:
    carry(abroad.browser, cookie)
    assert await led_to(abroad, company, await left(abroad)) == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
async def test_a_cookie_with_any_byte_changed_is_none(flow: Flow) -> None:
    sealed = base64.urlsafe_b64decode(opened(flow, "/access"))
    assert b"access" not in sealed
    link = (await flow.auth.sign_in_link()).partition("code=")[2]
    await flow.browser.post("/sign-in", data={"code": link})
    for place in range(len(sealed)):
        changed = bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]])
        carry(flow.browser, base64.urlsafe_b64encode(changed).decode())
        # Whoever is signed in already and opens a spent link is led on in the same way.
        answer = await flow.browser.get("/sign-in", params={"code": link})
        assert answer.headers["location"] == f"{ISSUER}/"
    carry(flow.browser, base64.urlsafe_b64encode(sealed).decode())
    assert (await flow.browser.get("/sign-in", params={"code": link})).headers["location"] == f"{ISSUER}/access"


@pytest.mark.requirement("AS-143")
async def test_a_page_is_remembered_for_a_quarter_of_an_hour(flow: Flow) -> None:
    cookie = opened(flow, "/access")
    flow.clock.advance(PENDING_S - 1)
    carry(flow.browser, cookie)
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/access"
    flow.clock.advance(1)
    carry(flow.browser, cookie)
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/"


@pytest.mark.requirement("AS-143")
async def test_no_other_tab_or_site_changes_the_page_of_a_sign_in_on_its_way(abroad: Flow, company: Company) -> None:
    carry(abroad.browser, opened(abroad, "/programs/0a9f"))
    first = await left(abroad)
    carry(abroad.browser, opened(abroad, "/access"))
    second = await left(abroad)
    for planted in (opened(abroad, "/connections"), page_cookie("//evil.example"), "x"):
        carry(abroad.browser, planted)
    assert await led_to(abroad, company, first) == f"{ISSUER}/programs/0a9f"
    assert await led_to(abroad, company, second) == f"{ISSUER}/access"


@pytest.mark.requirement("AS-143", "GW-22", "GW-23")
async def test_the_page_counts_once_and_in_the_browser_that_left(abroad: Flow, company: Company) -> None:
    carry(abroad.browser, opened(abroad, "/access"))
    back = company.comes_back(await left(abroad))
    async with abroad.client() as other:
        answer = await other.get(back)
        assert answer.status_code == 400
        assert "location" not in answer.headers
    assert (await abroad.browser.get(f"{back}&page=//evil.example")).headers["location"] == f"{ISSUER}/access"
    assert (await abroad.browser.get(back)).status_code == 400


@pytest.mark.requirement("AS-143")
async def test_the_database_does_not_show_it_and_an_earlier_version_stored_none(
    abroad: Flow, company: Company, engine: AsyncEngine
) -> None:
    carry(abroad.browser, opened(abroad, "/programs/0a9f"))
    departure = await left(abroad)
    async with engine.begin() as connection:
        row = (await connection.execute(select(store.logins))).one()
        assert b"programs" not in row.sealed
        seal, name = Seal(b"s" * 32), f"login:{row.login_hash}"
        login = json.loads(seal.open(row.sealed, row=name))
        assert login.pop("page") == "/programs/0a9f"
        await connection.execute(update(store.logins).values(sealed=seal.seal(json.dumps(login).encode(), row=name)))
    assert await led_to(abroad, company, departure) == f"{ISSUER}/"
