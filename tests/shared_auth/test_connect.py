"""Connecting an account: the way to the vendor and back, and everybody who would like to stand in between."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import html
import logging
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse

from servers._kit.oauth_emulator import GITLAB, GOOGLE, JIRA
from shared_auth.connect.departures import DEPARTURE_S
from shared_auth.people import People, Person
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.store import departures, vendor_grants
from shared_auth.vault.credential import NotConnected
from shared_auth.vault.vendor import VaultServer
from tests.shared_auth.flow import BOTH, ISSUER, Clock, hidden, query_of
from tests.shared_auth.vendors import ADA, Connecting, Vendors, connecting


@pytest.fixture
def vendors(clock: Clock) -> Vendors:
    found = Vendors(clock)
    for name in ("gitlab", "jira", "sentry", "google"):
        found.add(name)
    return found


@pytest.fixture
async def flow(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> Connecting:
    servers = [vendors.server(name) for name in ("gitlab", "jira", "sentry", "google")]
    return await connecting(vendors, [*servers, VaultServer("wiki", service_token="s")], settings, engine)


async def states(flow: Connecting) -> dict[str, str]:
    return {one.server: one.state for one in await flow.vault.connections("ada")}


async def somebody_else(flow: Connecting, engine: AsyncEngine) -> httpx.AsyncClient:
    """Return a browser in which Grace is signed in."""
    await People(engine).remember(Person("grace", "Grace", "", frozenset()), now=int(flow.clock()))
    browser = flow.client()
    session = await flow.auth._sessions.start("grace")
    browser.cookies.set("portal_session_8300", session, domain="127.0.0.1")
    return browser


async def granted(flow: Connecting, server: str) -> str:
    return next(one.scope for one in await flow.vault.connections("ada") if one.server == server)


@pytest.mark.requirement("VG-15", "VG-20")
@BOTH
async def test_more_is_asked_for_when_a_call_needs_it_and_what_was_granted_stays(flow: Connecting) -> None:
    await flow.connect("gitlab")
    assert await granted(flow, "gitlab") == "read_api"
    page = await flow.browser.get("/connect/gitlab?scope=api")
    assert page.status_code == 200
    assert "<dt>An agent needs</dt><dd>api</dd>" in page.text
    assert "<dt>Asked for</dt><dd>read_api, api</dd>" in page.text
    assert "<dt>Granted so far</dt><dd>read_api</dd>" in page.text
    assert hidden(page, "scope") == "api"
    gone = await flow.leave("gitlab", scope="api")
    assert query_of(gone.headers["location"])["scope"] == "read_api api"
    await flow.browser.get(await flow.agree(gone.headers["location"]))
    assert await granted(flow, "gitlab") == "read_api api"
    again = await flow.leave("gitlab")
    assert query_of(again.headers["location"])["scope"] == "read_api api"


@pytest.mark.requirement("VG-20")
@pytest.mark.parametrize("scope", ["sudo", "api sudo", "<script>", "event:write"])
async def test_nothing_is_asked_for_that_the_settings_do_not_name(flow: Connecting, scope: str) -> None:
    page = await flow.browser.get("/connect/gitlab", params={"scope": scope})
    assert page.status_code == 400
    assert "not one that the portal asks for" in page.text
    assert "<script>" not in page.text
    gone = await flow.leave("gitlab", scope=scope)
    assert gone.status_code == 400
    assert "location" not in gone.headers
    assert (await states(flow))["gitlab"] == "absent"


@pytest.mark.requirement("AS-143")
@pytest.mark.parametrize("path", ["/connections", "/connect/gitlab?scope=api", "/connect/jira/site"])
async def test_who_was_signed_out_is_led_back_once_they_have_signed_in(flow: Connecting, path: str) -> None:
    browser = flow.client()
    page = await browser.get(path)
    assert page.status_code == 401
    link = await flow.auth.sign_in_link()
    answer = await browser.post("/sign-in", data={"code": link.partition("code=")[2]})
    kept = path if "/site" not in path else "/"
    assert answer.headers["location"] == f"{ISSUER}{kept}"
    assert answer.status_code == 303


@pytest.mark.requirement("VG-20")
async def test_what_a_person_does_not_grant_after_all_is_not_there(flow: Connecting, vendors: Vendors) -> None:
    vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    gone = await flow.leave("gitlab", scope="api")
    await flow.browser.get(await flow.agree(gone.headers["location"]))
    assert (await states(flow))["gitlab"] == "connected"
    assert await granted(flow, "gitlab") == "read_api"


@pytest.mark.requirement("VG-20")
def test_which_scopes_a_call_may_have_people_asked_for(flow: Connecting) -> None:
    vault = flow.vault
    assert vault.grantable("gitlab", ("api", "sudo")) == ("api",)
    assert vault.grantable("gitlab", ("read_api",)) == ("read_api",)
    assert vault.grantable("gitlab", ()) == ("api",)
    assert vault.grantable("google", ()) == ()
    assert vault.grantable("wiki", ("api",)) == ()


@pytest.mark.requirement("VG-09", "VG-15")
@BOTH
async def test_a_person_connects_is_shown_so_and_disconnects(flow: Connecting) -> None:
    page = await flow.browser.get("/connections")
    assert page.status_code == 200
    assert page.text.count("Not connected.") == 4
    assert "one service account" in page.text
    page = await flow.browser.get("/connect/gitlab")
    assert "gitlab.example" in page.text
    assert "read_api" in page.text
    assert "What gitlab is for." in page.text
    gone = await flow.leave("gitlab")
    asked = query_of(gone.headers["location"])
    assert gone.headers["location"].startswith("https://gitlab.example/oauth/authorize?")
    assert asked.keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
    }
    assert asked["redirect_uri"] == f"{ISSUER}/connect/callback"
    assert asked["scope"] == "read_api"
    back = await flow.browser.get(await flow.agree(gone.headers["location"]))
    assert (back.status_code, back.headers["location"]) == (303, f"{ISSUER}/connections")
    page = await flow.browser.get("/connections")
    assert "since 2027-01-15" in page.text
    assert "Connect again" in page.text
    assert "connected already" in (await flow.browser.get("/connect/gitlab")).text
    found = await flow.vault.credential(ADA, "gitlab")
    page = await flow.browser.post("/disconnect/gitlab", data={"form_token": hidden(page, "form_token")})
    assert "confirmed" in page.text
    assert flow.vendors.emulators["gitlab"].person_of(f"Bearer {found.token}") is None
    assert (await states(flow))["gitlab"] == "absent"


@pytest.mark.parametrize(
    ("name", "site", "pkce"),
    [("gitlab", None, True), ("jira", "22222222-bbbb", False), ("sentry", "acme", True), ("google", None, True)],
)
async def test_every_vendors_habits_are_met(
    flow: Connecting, name: str, site: str | None, pkce: bool, clock: Clock
) -> None:
    """AUTH §1c, SERVERS §3: JSON bodies, PKCE or none, extra parameters, sites, rotation of every kind."""
    gone = await flow.leave(name)
    assert ("code_challenge" in query_of(gone.headers["location"])) is pkce
    back = await flow.browser.get(await flow.agree(gone.headers["location"]))
    assert back.status_code == 303
    if name == "jira":
        page = await flow.browser.get(back.headers["location"])
        assert 'value="11111111-aaaa" required checked' in page.text
        assert "https://labs.atlassian.example" in page.text
        with pytest.raises(NotConnected):
            await flow.vault.credential(ADA, name)
        assert (await states(flow))[name] == "choose"
        assert "Choose one" in (await flow.browser.get("/connections")).text
        form = {"form_token": hidden(page, "form_token"), "site": site}
        chosen = await flow.browser.post("/connect/jira/site", data=form)
        assert chosen.headers["location"] == f"{ISSUER}/connections"
    emulator = flow.vendors.emulators[name]
    for _ in range(3):
        found = await flow.vault.credential(ADA, name)
        assert emulator.person_of(f"Bearer {found.token}") == "ada"
        assert (found.site.id if found.site else None) == site
        clock.advance(emulator.habits.expires_in)
    assert (await states(flow))[name] == "connected"
    await flow.sign_in()  # sessions end sooner than some tokens
    page = await flow.browser.get("/connections")
    assert ("labs" in page.text) is (name == "jira")
    page = await flow.browser.post(f"/disconnect/{name}", data={"form_token": hidden(page, "form_token")})
    assert ("confirmed" in page.text) is (name in {"gitlab", "google"})
    assert ("has no way" in page.text) is (name in {"jira", "sentry"})
    assert (emulator.refreshes, emulator.reused) == (2, 0)


@pytest.mark.requirement("VG-10")
async def test_state_and_proof_are_random_and_new_each_time(flow: Connecting) -> None:
    asked = [query_of((await flow.leave("gitlab")).headers["location"]) for _ in range(3)]
    for name in ("state", "code_challenge"):
        assert len({one[name] for one in asked}) == 3
        assert all(len(one[name]) >= 43 for one in asked)
    assert {one["code_challenge_method"] for one in asked} == {"S256"}


@pytest.mark.requirement("VG-10")
async def test_the_vendor_gets_the_verifier_with_the_code_and_never_before(flow: Connecting) -> None:
    gone = await flow.leave("gitlab")
    assert (await flow.browser.get(await flow.agree(gone.headers["location"]))).status_code == 303
    (request,) = flow.vendors.asked
    sent = dict(parse_qsl(request.content.decode()))
    made = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
    assert made == query_of(gone.headers["location"])["code_challenge"]
    assert sent["code_verifier"] not in gone.headers["location"] + gone.text


@pytest.mark.requirement("VG-07")
async def test_reuse_at_atlassian_is_403_and_means_connect_again(flow: Connecting, clock: Clock) -> None:
    flow.vendors.emulators["jira"].change(site_list=JIRA.site_list[:1])
    await flow.connect("jira")
    assert (await flow.vault.credential(ADA, "jira")).site is not None
    flow.vendors.emulators["jira"].withdraw("ada")
    clock.advance(3_600)
    with pytest.raises(NotConnected):
        await flow.vault.credential(ADA, "jira")
    answers = [r.url.path for r in flow.vendors.asked].count("/oauth/token")
    with pytest.raises(NotConnected):
        await flow.vault.credential(ADA, "jira")
    assert [r.url.path for r in flow.vendors.asked].count("/oauth/token") == answers


@pytest.mark.requirement("VG-09")
async def test_a_vendor_that_does_not_confirm_is_named_and_the_row_is_gone(flow: Connecting) -> None:
    await flow.connect("gitlab")
    flow.vendors.replies["/oauth/revoke"] = lambda _request: httpx.Response(503)
    page = await flow.browser.get("/connections")
    page = await flow.browser.post("/disconnect/gitlab", data={"form_token": hidden(page, "form_token")})
    assert "did not confirm" in page.text
    assert (await states(flow))["gitlab"] == "absent"


@pytest.mark.requirement("VG-15")
async def test_fewer_scopes_than_asked_are_shown_with_what_is_missing(flow: Connecting) -> None:
    flow.vendors.emulators["sentry"].change(withheld=frozenset({"event:read"}))
    await flow.connect("sentry")
    page = (await flow.browser.get("/connections")).text
    assert "did not grant\nevent:read" in page
    page = (await flow.browser.get("/connect/sentry")).text
    assert "<dt>Missing</dt><dd>event:read</dd>" in page


# Who may start, and who may finish


@pytest.mark.parametrize("path", ["/connections", "/connect/gitlab", "/connect/jira/site"])
async def test_nobody_signed_in_sees_how_to_sign_in(flow: Connecting, path: str) -> None:
    answer = await flow.client().get(path)
    assert answer.status_code == 401
    assert "portal sign-in" in answer.text


async def test_a_portal_with_a_provider_leads_to_its_sign_in(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    flow = await connecting(vendors, [vendors.server("gitlab")], settings, engine)
    off = dataclasses.replace(settings, local_sign_in=False)
    other = Auth(off, engine, servers=[vendors.server("gitlab")], clock=vendors.clock)
    flow.app.router.routes[:] = other.routes()
    assert 'href="/sign-in"' in (await flow.client().get("/connections")).text


@pytest.mark.requirement("VG-16")
@pytest.mark.parametrize("path", ["/connect/gitlab", "/disconnect/gitlab", "/connect/jira/site"])
async def test_a_form_from_elsewhere_changes_nothing(flow: Connecting, path: str, engine: AsyncEngine) -> None:
    """Cross-site request forgery: another origin, no token, a token that another session was shown."""
    await flow.connect("gitlab")
    page = await flow.browser.get("/connections")
    good = hidden(page, "form_token")
    theirs = hidden(await (await somebody_else(flow, engine)).get("/connect/gitlab"), "form_token")
    await flow.sign_in()  # a new session: what the old one was shown is stale
    for form, headers in [
        ({"form_token": good}, {"Origin": "https://evil.example"}),
        ({"form_token": good}, {"Sec-Fetch-Site": "cross-site"}),
        ({"form_token": good}, {}),
        ({"form_token": theirs}, {}),
        ({"form_token": "é"}, {}),
        ({}, {}),
    ]:
        answer = await flow.browser.post(path, data=form | {"site": "11111111-aaaa"}, headers=headers)
        assert answer.status_code in {400, 403}, answer.text
        assert "location" not in answer.headers
    assert (await flow.client().post(path, data={"form_token": good})).status_code == 403
    assert (await states(flow))["gitlab"] == "connected"


@pytest.mark.requirement("VG-16")
async def test_opening_a_page_changes_nothing(flow: Connecting, engine: AsyncEngine) -> None:
    for path in ("/connections", "/connect/gitlab", "/disconnect/gitlab"):
        await flow.browser.get(path)
    async with engine.connect() as connection:
        assert (await connection.execute(select(departures))).all() == []
    assert flow.vendors.asked == []


@pytest.mark.requirement("VG-11")
async def test_the_answer_counts_only_in_the_session_that_left(flow: Connecting, engine: AsyncEngine) -> None:
    """Login CSRF: an attacker's state and code in the victim's browser would tie the attacker's account to the victim."""
    gone = await flow.leave("gitlab")
    back = await flow.agree(gone.headers["location"], "grace")
    victim = await somebody_else(flow, engine)
    asked = len(flow.vendors.asked)
    for browser in (victim, flow.client()):
        answer = await browser.get(back)
        assert answer.status_code in {400, 403}
    assert len(flow.vendors.asked) == asked
    assert (await flow.vault.connections("grace"))[0].state == "absent"
    assert (await flow.browser.get(back)).status_code == 303  # the victim's try has spent nothing


@pytest.mark.requirement("VG-11")
async def test_an_answer_counts_once(flow: Connecting) -> None:
    gone = await flow.leave("gitlab")
    back = await flow.agree(gone.headers["location"])
    answers = await asyncio.gather(*(flow.browser.get(back) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400]


@pytest.mark.requirement("VG-17")
async def test_a_person_who_is_put_out_while_the_vendor_answers_has_connected_nothing(flow: Connecting) -> None:
    gone = await flow.leave("gitlab")
    back = await flow.agree(gone.headers["location"])

    async def revoked(request: httpx.Request) -> httpx.Response:
        await flow.auth.revoke_grants(subject="ada")
        return await flow.vendors.app("gitlab").handle_async_request(request)

    flow.vendors.replies["/oauth/token"] = revoked
    assert (await flow.browser.get(back)).status_code == 403
    assert (await states(flow))["gitlab"] == "absent"
    assert flow.vendors.emulators["gitlab"].revoked == 1


@pytest.mark.requirement("VG-11")
async def test_an_answer_counts_for_ten_minutes(flow: Connecting) -> None:
    gone = await flow.leave("gitlab")
    back = await flow.agree(gone.headers["location"])
    flow.clock.advance(DEPARTURE_S)
    assert (await flow.browser.get(back)).status_code == 400


@pytest.mark.requirement("VG-11")
@pytest.mark.parametrize("query", ["", "state=", "state=made-up&code=x", "state=a&state=b", "code=x", "state=a%00"])
async def test_a_made_up_answer_is_refused(flow: Connecting, query: str) -> None:
    answer = await flow.browser.get(f"/connect/callback?{query}")
    assert answer.status_code == 400
    assert flow.vendors.asked == []


async def test_an_endless_answer_is_refused(flow: Connecting) -> None:
    assert (await flow.browser.get("/connect/callback?state=" + "a" * 9_000)).status_code == 413


@pytest.mark.requirement("VG-11")
async def test_a_state_that_was_sealed_for_another_is_refused(flow: Connecting, engine: AsyncEngine) -> None:
    one, two = await flow.leave("gitlab"), await flow.leave("jira")
    back = await flow.agree(one.headers["location"])
    async with engine.begin() as connection:
        rows = (await connection.execute(select(departures))).all()
        for row, sealed in zip(rows, [rows[1].sealed, rows[0].sealed], strict=True):
            mine = departures.c.departure_hash == row.departure_hash
            await connection.execute(update(departures).where(mine).values(sealed=sealed))
    assert query_of(two.headers["location"])["state"] != query_of(one.headers["location"])["state"]
    assert (await flow.browser.get(back)).status_code == 400


async def test_departures_are_forgotten(flow: Connecting, engine: AsyncEngine) -> None:
    gone = await flow.leave("gitlab")
    await flow.browser.get(await flow.agree(gone.headers["location"]))
    await flow.leave("gitlab")
    flow.clock.advance(DEPARTURE_S)
    await flow.auth.prune()
    async with engine.connect() as connection:
        assert (await connection.execute(select(departures))).all() == []


# Which vendor answered


@pytest.mark.requirement("VG-12")
async def test_the_answer_of_another_vendor_is_refused_before_its_code_goes_anywhere(flow: Connecting) -> None:
    """Mix-up (RFC 9207): the code of one vendor must not be sent to another."""
    flow.vendors.emulators["gitlab"].change(issuer="https://gitlab.example")
    assert (await flow.connect("gitlab")).status_code == 303
    gone = await flow.leave("jira")
    mixed = {"code": "of gitlab", "state": query_of(gone.headers["location"])["state"], "iss": "https://gitlab.example"}
    asked = len(flow.vendors.asked)
    answer = await flow.browser.get(f"/connect/callback?{urlencode(mixed)}")
    assert answer.status_code == 400
    assert "another system" in answer.text
    assert len(flow.vendors.asked) == asked


@pytest.mark.requirement("VG-12")
@pytest.mark.parametrize(("iss", "status"), [(None, 400), ("https://id.example", 303), ("https://ID.example", 400)])
async def test_where_the_settings_say_that_a_vendor_states_its_issuer_it_must(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine, iss: str | None, status: int
) -> None:
    vendors.emulators["gitlab"].change(issuer=iss or "")
    servers = [vendors.server("gitlab", issuer="https://id.example", states_issuer=True)]
    flow = await connecting(vendors, servers, settings, engine)
    assert (await flow.connect("gitlab")).status_code == status


@pytest.mark.requirement("VG-13")
async def test_a_vendor_that_the_settings_changed_meanwhile_gets_no_code(
    flow: Connecting, vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    for servers in ([vendors.server("gitlab", client_id="new")], [vendors.server("jira")]):
        gone = await flow.leave("gitlab")
        back = await flow.agree(gone.headers["location"])
        other = flow.replica(engine, settings, servers)
        kept = list(flow.app.router.routes)
        flow.app.router.routes[:] = other.routes()
        assert (await flow.browser.get(back)).status_code == 400
        flow.app.router.routes[:] = kept
    assert [r.url.path for r in vendors.asked].count("/oauth/token") == 0


# What vendors answer


async def test_a_no_at_the_vendor_is_told_in_our_words(flow: Connecting) -> None:
    answer = await flow.connect("gitlab", "")
    assert answer.status_code == 403
    assert "script" not in answer.text
    assert "not granted" in answer.text
    assert (await states(flow))["gitlab"] == "absent"


def endless(_request: httpx.Request) -> httpx.Response:
    async def parts() -> Any:
        while True:
            yield b" " * 65_536

    return httpx.Response(200, headers={"content-type": "application/json"}, content=parts())


async def slow(_request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(60)
    raise AssertionError


GOOD = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 60, "scope": "read_api"}
HOSTILE = [
    lambda _: httpx.Response(200, html="<script>alert(1)</script>"),
    lambda _: httpx.Response(302, headers={"Location": "https://evil.example/"}),
    lambda _: httpx.Response(200, content=b"[" * 60_000, headers={"content-type": "application/json"}),
    lambda _: httpx.Response(200, content=b'{"access_token"', headers={"content-type": "application/json"}),
    lambda _: httpx.Response(200, json=[GOOD]),
    lambda _: httpx.Response(500, json=GOOD),
    lambda _: httpx.Response(200, json=GOOD | {"error": "<b>x"}),
    lambda _: httpx.Response(200, json={k: v for k, v in GOOD.items() if k != "access_token"}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": "a\r\nX-Admin: 1"}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": "a\0b"}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": "a b"}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": ""}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": "é"}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": 7}),
    lambda _: httpx.Response(200, json=GOOD | {"access_token": "a" * 9_000}),
    lambda _: httpx.Response(200, json=GOOD | {"refresh_token": ["r"]}),
    lambda _: httpx.Response(200, json=GOOD | {"refresh_token": "r\n"}),
    lambda _: httpx.Response(200, json=GOOD | {"token_type": "DPoP"}),
    lambda _: httpx.Response(200, json=GOOD | {"token_type": 1}),
    lambda _: httpx.Response(200, json=GOOD | {"expires_in": "soon"}),
    lambda _: httpx.Response(200, json=GOOD | {"expires_in": True}),
    lambda _: httpx.Response(200, json=GOOD | {"expires_in": -1}),
    lambda _: httpx.Response(
        200, content=b'{"access_token":"a","expires_in":NaN}', headers={"content-type": "application/json"}
    ),
    lambda _: httpx.Response(200, json=GOOD | {"scope": ["read_api"]}),
    lambda _: httpx.Response(200, json=GOOD | {"scope": "read_api\nx"}),
    lambda _: httpx.Response(200, json=GOOD | {"scope": "x" * 5_000}),
    lambda _: httpx.Response(200, json=GOOD, headers={"content-encoding": "gzip"}),
    endless,
    slow,
]


@pytest.mark.requirement("VG-08", "VG-14")
@pytest.mark.parametrize("reply", HOSTILE)
async def test_a_hostile_answer_connects_nobody_and_shows_nothing_of_it(
    flow: Connecting, reply: Any, monkeypatch: Any
) -> None:
    flow.vendors.replies["/oauth/token"] = reply
    if reply is slow:
        monkeypatch.setattr("shared_auth.vault.vendor_api.TOTAL_S", 0.05)
    answer = await flow.connect("gitlab")
    assert answer.status_code == 503
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert "location" not in answer.headers
    assert (await states(flow))["gitlab"] == "absent"


@pytest.mark.parametrize("expires_in", ["60", 60.5, 10**30])
async def test_odd_but_honest_lives_are_taken(flow: Connecting, expires_in: Any) -> None:
    flow.vendors.emulators["gitlab"].said = [JSONResponse(GOOD | {"expires_in": expires_in})]
    assert (await flow.connect("gitlab")).status_code == 303


async def test_a_code_that_the_vendor_takes_no_more_is_said(flow: Connecting) -> None:
    flow.vendors.emulators["gitlab"].said = [JSONResponse({"error": "invalid_grant"}, 400)]
    answer = await flow.connect("gitlab")
    assert answer.status_code == 400
    assert "Begin again" in answer.text


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: httpx.Response(200, json={"id": "x"}),
        lambda _: httpx.Response(200, text="[]"),
        lambda _: httpx.Response(401, json=[]),
        lambda _: httpx.Response(500),
    ],
)
async def test_without_a_usable_list_of_sites_the_account_stays_connected_and_the_site_open(
    flow: Connecting, reply: Any
) -> None:
    flow.vendors.replies[JIRA.sites] = reply
    answer = await flow.connect("jira")
    assert answer.headers["location"] == f"{ISSUER}/connections"
    assert (await states(flow))["jira"] == "choose"
    assert (await flow.browser.get("/connect/jira/site")).status_code == 503
    flow.vendors.replies.clear()
    assert "acme" in (await flow.browser.get("/connect/jira/site")).text


async def test_sites_are_text_and_those_that_could_climb_in_an_address_are_left_out(flow: Connecting) -> None:
    sites = [
        {"id": "good", "name": "<script>alert(1)</script>\u202e", "url": "javascript:alert(1)"},
        *({"id": bad, "name": "bad one"} for bad in ("..", ".", "../x", "a/b", "a?b", "a b", "", 7, None, "a" * 200)),
        "no object",
        {"id": "nameless", "url": 7},
    ]
    flow.vendors.replies[JIRA.sites] = lambda _: httpx.Response(200, json=sites)
    answer = await flow.connect("jira")
    page = (await flow.browser.get(answer.headers["location"])).text
    assert "<script" not in page
    assert html.escape("<script>alert(1)</script>") in page
    assert "\u202e" not in page
    assert 'href="javascript' not in page
    assert "bad one" not in page
    assert page.count('type="radio"') == 2


async def test_a_site_that_the_vendor_does_not_name_cannot_be_chosen(flow: Connecting) -> None:
    await flow.connect("jira")
    page = await flow.browser.get("/connect/jira/site")
    for site in ("33333333", "", "../x"):
        form = {"form_token": hidden(page, "form_token"), "site": site}
        assert (await flow.browser.post("/connect/jira/site", data=form)).status_code == 400
    assert (await states(flow))["jira"] == "choose"


async def test_an_account_without_any_site_is_told_so(flow: Connecting) -> None:
    flow.vendors.emulators["jira"].change(site_list=())
    answer = await flow.connect("jira")
    assert "access to none" in (await flow.browser.get(answer.headers["location"])).text


async def test_sites_of_what_is_not_connected_or_has_none(flow: Connecting) -> None:
    assert (await flow.browser.get("/connect/jira/site")).status_code == 400
    assert (await flow.browser.get("/connect/gitlab/site")).status_code == 400


@pytest.mark.parametrize("server", ["catalog", "wiki", "..", "a" * 500, "<script>"])
async def test_only_servers_that_work_with_accounts_can_be_connected(flow: Connecting, server: str) -> None:
    answer = await flow.browser.get(f"/connect/{server}")
    assert answer.status_code == 404
    assert "<script" not in answer.text


@pytest.mark.requirement("VG-16")
async def test_no_page_can_be_framed_scripted_stored_or_sniffed(flow: Connecting) -> None:
    await flow.connect("jira")
    for path in ("/connections", "/connect/gitlab", "/connect/jira/site", "/connect/nothing"):
        answer = await flow.browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert "code=" not in answer.text


# Where requests go


@pytest.mark.requirement("VG-14")
@pytest.mark.parametrize("address", ["10.0.0.7", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.7"])
async def test_a_vendors_name_that_leads_inside_is_not_connected_to(flow: Connecting, address: str) -> None:
    flow.vendors.resolves["gitlab.example"] = [address]
    assert (await flow.connect("gitlab")).status_code == 503
    assert flow.vendors.asked == []


async def test_an_internal_vendor_is_reached_where_the_settings_name_its_network(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    vendors.resolves["gitlab.example"] = ["10.20.0.7"]
    servers = [vendors.server("gitlab", networks=(ip_network("10.20.0.0/16"),))]
    flow = await connecting(vendors, servers, settings, engine)
    assert (await flow.connect("gitlab")).status_code == 303
    assert {request.url.host for request in vendors.asked} == {"10.20.0.7"}


async def test_a_name_that_does_not_resolve_is_a_vendor_that_is_down(flow: Connecting) -> None:
    async def nowhere(_host: str) -> list[str]:
        raise OSError("no such name")

    flow.auth._vendor_api._resolve = nowhere
    assert (await flow.connect("gitlab")).status_code == 503


@pytest.mark.requirement("VG-04")
async def test_no_secret_reaches_the_log_or_an_address(flow: Connecting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gone = await flow.leave("gitlab")
    back = await flow.agree(gone.headers["location"])
    done = await flow.browser.get(back)
    await flow.browser.get(back)
    held = (await flow.vault._grants.of_person(ISSUER, "ada"))["gitlab"]
    assert held.grant is not None
    text = str([record.__dict__ for record in caplog.records if record.name == "shared_auth"])
    assert "vendor.connected" in text
    assert "departure_unknown" in text
    for secret in (held.grant.access, held.grant.refresh, "emulated-secret", *query_of(back).values()):
        assert secret not in text + gone.headers["location"].partition("state=")[0] + done.headers["location"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_the_portal_proves_itself_as_the_vendor_wants_it(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine, method: str
) -> None:
    flow = await connecting(vendors, [vendors.server("gitlab", auth_method=method)], settings, engine)
    assert (await flow.connect("gitlab")).status_code == 303
    (request,) = vendors.asked
    assert ("authorization" in request.headers) is (method == "client_secret_basic")
    assert (b"client_secret" in request.content) is (method == "client_secret_post")


async def test_a_public_client_sends_no_secret(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> None:
    server = vendors.server("gitlab", auth_method="none", client_secret="")
    flow = await connecting(vendors, [server], settings, engine)
    vendors.replies["/oauth/token"] = lambda _: httpx.Response(200, json=GOOD)
    assert (await flow.connect("gitlab")).status_code == 303
    assert b"secret" not in vendors.asked[0].content


async def test_without_servers_that_work_with_accounts_there_are_no_such_pages(auth: Auth, settings: Any) -> None:
    assert not [route for route in auth.routes() if "connect" in route.path]


async def test_a_grant_is_stored_before_anything_is_done_with_it(flow: Connecting, engine: AsyncEngine) -> None:
    seen: list[int] = []

    async def sites(_request: httpx.Request) -> httpx.Response:
        async with engine.connect() as connection:
            seen.append(len((await connection.execute(select(vendor_grants))).all()))
        return httpx.Response(200, json=[])

    flow.vendors.replies[JIRA.sites] = sites
    await flow.connect("jira")
    assert seen == [1]


def test_the_emulators_are_as_strict_as_their_vendors() -> None:
    assert (GITLAB.rotation, GITLAB.redirect_uri_on_refresh, GITLAB.expires_in) == ("pair", True, 7_200)
    assert (JIRA.rotation, JIRA.dead_status, JIRA.body) == ("refresh", 403, "json")
    assert GOOGLE.rotation == "never"
