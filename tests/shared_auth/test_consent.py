"""Consent: MCP security best practices, confused deputy (consent UI, storage and cookie requirements)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.authorization.questions import CONSENT_S
from tests.shared_auth.flow import CALLBACK, ISSUER, RESOURCE, Flow, hidden, query_of

WEB = "https://app.example/callback"


@pytest.fixture
async def page(flow: Flow) -> httpx.Response:
    client = await flow.register(client_name="<b>Agent</b> & co")
    await flow.sign_in()
    return await flow.authorize(client["client_id"])


@pytest.mark.requirement("AS-54", "GW-04", "GW-05", "GW-06", "GW-07")
async def test_the_page_names_client_address_scope_and_person_and_warns_of_this_machine(page: httpx.Response) -> None:
    assert "&lt;b&gt;Agent&lt;/b&gt; &amp; co" in page.text
    for shown in (
        "<dd>127.0.0.1:5000</dd>",
        CALLBACK,
        "<dd>mcp</dd>",
        RESOURCE,
        "Ada Lovelace (ada@example.com)",
        "nobody has verified it",
    ):
        assert shown in page.text
    assert "a program on this computer" in page.text


@pytest.mark.requirement("GW-06", "GW-07")
async def test_a_web_address_is_shown_without_that_warning(flow: Flow) -> None:
    client = await flow.register(redirect_uris=[WEB])
    await flow.sign_in()
    page = await flow.authorize(client["client_id"], redirect_uri=WEB)
    assert "<dd>app.example</dd>" in page.text
    assert WEB in page.text
    assert "a program on this computer" not in page.text


@pytest.mark.requirement("AS-130", "GW-09")
async def test_no_page_can_be_framed_scripted_stored_or_sniffed(flow: Flow, page: httpx.Response) -> None:
    pages = [page, await flow.agent.get("/authorize"), await flow.agent.get(await flow.auth.sign_in_link())]
    for one in pages:
        policy = one.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert one.headers["x-frame-options"] == "DENY"
        assert one.headers["cache-control"] == "no-store"
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "same-origin"
        assert "<script" not in one.text
    assert page.headers["content-security-policy"].count("http") == 1


@pytest.mark.requirement("AS-67")
async def test_nothing_is_granted_before_the_yes(flow: Flow, page: httpx.Response, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(store.grants))).scalar() == 0
    assert (await flow.decide(page)).status_code == 303
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(store.grants))).scalar() == 1


@pytest.mark.requirement("AS-71")
async def test_a_no_goes_to_the_client_as_access_denied_with_iss_and_grants_nothing(
    flow: Flow, page: httpx.Response, engine: AsyncEngine
) -> None:
    answer = await flow.decide(page, "deny")
    query = query_of(answer.headers["location"])
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    assert (query["error"], query["state"], query["iss"]) == ("access_denied", "a state", ISSUER)
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(store.grants))).scalar() == 0


@pytest.mark.requirement("GW-11")
async def test_a_question_is_answered_once(flow: Flow, page: httpx.Response) -> None:
    await flow.decide(page, "deny")
    answer = await flow.decide(page, "allow")
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_a_question_expires(flow: Flow, page: httpx.Response) -> None:
    flow.clock.advance(CONSENT_S)
    assert (await flow.decide(page)).status_code == 400


@pytest.mark.requirement("GW-08")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_from_another_site_is_refused_and_the_question_stays(
    flow: Flow, page: httpx.Response, headers: Any
) -> None:
    assert (await flow.decide(page, **headers)).status_code == 403
    assert (await flow.decide(page, Origin=ISSUER, **{"Sec-Fetch-Site": "same-origin"})).status_code == 303


@pytest.mark.requirement("GW-11")
async def test_a_question_of_one_session_is_not_answered_from_another(flow: Flow, page: httpx.Response) -> None:
    """An attacker's own question, put into a victim's browser, would grant the victim's rights to the attacker."""
    form = {"consent": hidden(page, "consent"), "decision": "allow"}
    async with flow.client() as victim:
        assert (await victim.post("/consent", data=form)).status_code == 403
        await flow.sign_in(victim)
        assert (await victim.post("/consent", data=form)).status_code == 400


@pytest.mark.requirement("GW-08")
@pytest.mark.parametrize("form", [{}, {"decision": "allow"}, {"decision": "allow", "consent": "guess"}])
async def test_without_the_questions_id_nothing_is_decided(flow: Flow, page: httpx.Response, form: Any) -> None:
    assert (await flow.browser.post("/consent", data=form)).status_code == 400
    assert (await flow.decide(page)).status_code == 303


async def test_a_decision_that_is_neither_yes_nor_no_decides_nothing(flow: Flow, page: httpx.Response) -> None:
    assert (await flow.decide(page, "maybe")).status_code == 400
    assert (await flow.decide(page)).status_code == 303


@pytest.mark.requirement("GW-13")
async def test_a_client_that_is_gone_by_the_time_of_the_yes_gets_nothing(flow: Flow) -> None:
    client = await flow.register()
    flow.clock.advance(86_400 - 60)
    await flow.sign_in()
    page = await flow.authorize(client["client_id"])
    flow.clock.advance(60)
    answer = await flow.decide(page)
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_a_signed_out_browser_decides_nothing(flow: Flow, page: httpx.Response) -> None:
    await flow.browser.post("/sign-out")
    assert (await flow.decide(page)).status_code == 403


async def test_a_question_by_get_is_not_answered(flow: Flow, page: httpx.Response) -> None:
    answer = await flow.browser.get("/consent", params={"consent": hidden(page, "consent"), "decision": "allow"})
    assert answer.status_code == 405


@pytest.mark.requirement("AS-106")
async def test_the_questions_id_is_stored_hashed_only(page: httpx.Response, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        row = (await connection.execute(select(store.consents))).one()
    assert hidden(page, "consent") not in str(tuple(row))
