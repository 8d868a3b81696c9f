"""The local sign-in: one-time links, sessions, cookies, and coming back to the request that waited."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from shared_auth import store
from shared_auth.authorization.local import LINK_S
from shared_auth.authorization.sessions import PENDING_S, SESSION_S
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import ISSUER, Clock, Flow, application, hidden


@pytest.mark.requirement("AS-133")
async def test_opening_the_link_signs_nobody_in_and_does_not_spend_it(flow: Flow) -> None:
    link = await flow.auth.sign_in_link()
    for _ in range(3):  # a mail scanner, a preview, a prefetch
        page = await flow.browser.get(link)
        assert "set-cookie" not in page.headers
    assert "Sign in as Ada Lovelace?" in page.text
    answer = await flow.browser.post("/sign-in", data={"code": hidden(page, "code")})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ISSUER}/")


async def test_a_link_works_once_and_not_for_long(flow: Flow) -> None:
    link = await flow.auth.sign_in_link()
    code = link.partition("code=")[2]
    assert (await flow.browser.post("/sign-in", data={"code": code})).status_code == 303
    async with flow.client() as other:
        assert (await other.post("/sign-in", data={"code": code})).status_code == 400
        assert (await other.get(link)).status_code == 400
        late = await flow.auth.sign_in_link()
        flow.clock.advance(LINK_S)
        assert (await other.get(late)).status_code == 400
        assert (await other.post("/sign-in", data={"code": late.partition("code=")[2]})).status_code == 400


async def test_a_spent_link_brings_a_signed_in_browser_on(flow: Flow) -> None:
    link = await flow.auth.sign_in_link()
    await flow.browser.post("/sign-in", data={"code": link.partition("code=")[2]})
    assert (await flow.browser.get(link)).headers["location"] == f"{ISSUER}/"


async def test_a_fresh_link_may_be_minted_while_another_is_open(flow: Flow) -> None:
    links = [await flow.auth.sign_in_link() for _ in range(2)]
    assert len(set(links)) == 2
    for link in links:
        assert (await flow.browser.get(link)).status_code == 200


@pytest.mark.parametrize("query", ["", "?code=", "?code=guess", "?code=a&code=b", "?code=%00", "?x=" + "x" * 9_000])
async def test_what_is_no_link_gets_a_page_that_says_what_to_do(flow: Flow, query: Any) -> None:
    answer = await flow.browser.get(f"/sign-in{query}")
    assert answer.status_code in {400, 413}
    assert "portal sign-in" in answer.text


async def test_after_the_sign_in_the_browser_is_back_at_the_request_that_waited(flow: Flow) -> None:
    client = await flow.register()
    waiting = await flow.authorize(client["client_id"])
    assert "portal sign-in" in waiting.text
    page = await flow.browser.get(await flow.auth.sign_in_link())
    assert "form-action 'self' https:;" in page.headers["content-security-policy"]
    answer = await flow.browser.post("/sign-in", data={"code": hidden(page, "code")})
    assert answer.headers["location"] == str(waiting.request.url)
    assert "Let an agent act for you?" in (await flow.browser.get(answer.headers["location"])).text
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/", "it is resumed once"


async def test_a_request_that_is_too_long_for_a_cookie_is_not_resumed_by_itself(flow: Flow) -> None:
    client = await flow.register()
    await flow.authorize(client["client_id"], state="s" * 4_000)
    assert (await flow.sign_in()).headers["location"] == f"{ISSUER}/"


@pytest.mark.requirement("AS-66")
@pytest.mark.parametrize("cookie", ["aHR0cDovL2V2aWwK", "!", "5g==", "DQo=", "//evil.example"])
async def test_a_forged_waiting_request_only_ever_leads_to_ourselves(flow: Flow, cookie: Any) -> None:
    flow.browser.cookies.set("portal_pending_8300", cookie, domain="127.0.0.1")
    location = (await flow.sign_in()).headers["location"]
    assert location.startswith((f"{ISSUER}/authorize?", f"{ISSUER}/"))
    assert "\n" not in location


@pytest.mark.requirement("AS-132")
async def test_another_site_cannot_sign_a_browser_in(flow: Flow) -> None:
    code = (await flow.auth.sign_in_link()).partition("code=")[2]
    answer = await flow.browser.post("/sign-in", data={"code": code}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert (await flow.browser.post("/sign-in", data={"code": code})).status_code == 303


@pytest.mark.requirement("AS-132")
async def test_a_session_that_was_there_before_is_never_taken_over(flow: Flow) -> None:
    flow.browser.cookies.set("portal_session_8300", "chosen by an attacker", domain="127.0.0.1")
    answer = await flow.sign_in()
    assert "chosen" not in str(answer.headers)
    assert answer.headers["set-cookie"]


async def test_cookies_on_loopback_are_for_this_port_and_no_script(flow: Flow) -> None:
    (cookie,) = [c for c in (await flow.sign_in()).headers.get_list("set-cookie") if "session" in c]
    assert cookie.startswith("portal_session_8300=")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={SESSION_S}"):
        assert part in cookie
    assert "Domain" not in cookie


@pytest.mark.requirement("GW-10")
async def test_cookies_on_https_are_host_only_and_secure(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    public = dataclasses.replace(
        settings, issuer="https://localhost", resource="https://localhost/mcp", local_sign_in=True
    )
    auth = Auth(public, engine, clock=clock)
    await auth.start()
    flow = Flow(auth, clock, application(auth), public.issuer)
    async with flow.agent, flow.browser:
        client = await flow.register()
        waiting = (await flow.authorize(client["client_id"])).headers["set-cookie"]
        started = next(c for c in (await flow.sign_in()).headers.get_list("set-cookie") if "session" in c)
        for cookie, name, life_s in ((waiting, "pending", PENDING_S), (started, "session", SESSION_S)):
            assert cookie.startswith(f"__Host-portal_{name}=")
            for part in ("HttpOnly", "SameSite=lax", "Path=/", "Secure", f"Max-Age={life_s}"):
                assert part in cookie
            assert "Domain" not in cookie
        assert (await flow.authorize(client["client_id"])).status_code == 200


async def test_a_session_ends_after_twelve_hours(flow: Flow) -> None:
    client = await flow.register()
    await flow.sign_in()
    flow.clock.advance(SESSION_S - 1)
    assert "Let an agent" in (await flow.authorize(client["client_id"])).text
    flow.clock.advance(1)
    assert "Sign in first" in (await flow.authorize(client["client_id"])).text


async def test_signing_out_ends_the_session_on_the_server_too(flow: Flow) -> None:
    client = await flow.register()
    await flow.sign_in()
    kept = dict(flow.browser.cookies)
    answer = await flow.browser.post("/sign-out")
    assert answer.status_code == 200
    assert 'portal_session_8300=""' in answer.headers["set-cookie"]
    async with flow.client() as thief:
        page = await thief.get(
            "/authorize",
            params=flow.request(client["client_id"]),
            headers={"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())},
        )
        assert "Sign in first" in page.text


@pytest.mark.requirement("AS-132")
async def test_another_site_cannot_sign_a_browser_out_and_a_stranger_may_try(flow: Flow) -> None:
    await flow.sign_in()
    assert (await flow.browser.post("/sign-out", headers={"Origin": "https://evil.example"})).status_code == 403
    assert (await flow.agent.post("/sign-out")).status_code == 200
    assert (await flow.browser.get("/sign-out")).status_code == 405


@pytest.mark.requirement("AS-106")
async def test_links_and_sessions_are_stored_hashed_only(flow: Flow, engine: AsyncEngine) -> None:
    link = await flow.auth.sign_in_link()
    await flow.sign_in()
    async with engine.connect() as connection:
        rows = [
            tuple(row) for table in (store.links, store.sessions) for row in await connection.execute(select(table))
        ]
    assert link.partition("code=")[2] not in str(rows)
    assert flow.browser.cookies["portal_session_8300"] not in str(rows)


async def test_pages_of_the_portal_learn_who_sits_at_the_browser(flow: Flow) -> None:
    assert await flow.auth.session_principal(_request({})) is None
    assert await flow.auth.session_principal(_request({"portal_session_8300": "guess"})) is None
    await flow.sign_in()
    principal = await flow.auth.session_principal(_request(dict(flow.browser.cookies)))
    assert principal is not None
    assert (principal.subject, principal.client_id, principal.grant_id) == ("ada", "portal-web", "")
    assert principal.groups == {"portal-writers"}


async def test_putting_a_person_out_ends_their_session_too_but_ending_one_agent_does_not(flow: Flow) -> None:
    await flow.sign_in()
    request = _request(dict(flow.browser.cookies))
    await flow.auth.revoke_grants(client_id="agent")
    assert await flow.auth.session_principal(request) is not None
    await flow.auth.revoke_grants(subject="somebody else")
    assert await flow.auth.session_principal(request) is not None
    await flow.auth.revoke_grants(subject="ada")
    assert await flow.auth.session_principal(request) is None


async def test_without_local_sign_in_there_is_no_way_in_through_it(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    auth = Auth(dataclasses.replace(settings, local_sign_in=False), engine, clock=clock)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        assert (await flow.browser.get("/sign-in?code=x")).status_code == 404
        client = await flow.register()
        assert "No way to sign in is configured" in (await flow.authorize(client["client_id"])).text


def _request(cookies: dict[str, str]) -> Request:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Request({"type": "http", "headers": [(b"cookie", header.encode())]})
