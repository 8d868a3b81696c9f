"""Cookies that somebody else has put into a browser: a sibling host, another port, an open window of an attacker."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.authorization.sessions import Cookies
from shared_auth.identity.settings import OidcSettings
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import Clock, Flow, application, hidden

HTTPS = "https://portal.example"


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
def settings() -> AuthSettings:
    oidc = OidcSettings(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return AuthSettings(issuer=HTTPS, resource=f"{HTTPS}/mcp", secret=b"s" * 32, oidc=oidc)


@pytest.fixture
async def flow(settings: AuthSettings, engine: AsyncEngine, clock: Clock, company: Company) -> Any:
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    found = Flow(auth, clock, application(auth), HTTPS)
    async with found.agent, found.browser:
        yield found


async def signed_in(flow: Flow, company: Company, browser: httpx.AsyncClient) -> dict[str, str]:
    """Sign a browser in and return its cookies."""
    left = await browser.post("/sign-in")
    assert (await browser.get(company.comes_back(left.headers["location"]))).status_code == 303
    return {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}


@pytest.mark.requirement("AS-138")
async def test_a_session_under_a_name_that_a_sibling_host_could_set_signs_nobody_in(
    flow: Flow, company: Company
) -> None:
    client_id = (await flow.register())["client_id"]
    cookies = await signed_in(flow, company, flow.browser)
    session = cookies["__Host-portal_session"]
    async with flow.client() as victim:
        for name in ("portal_session", "__host-portal_session", "__Secure-portal_session", "portal_session_443"):
            page = await victim.get(
                "/authorize", params=flow.request(client_id), headers={"Cookie": f"{name}={session}"}
            )
            assert "You then sign in at" in page.text
        page = await victim.get(
            "/authorize", params=flow.request(client_id), headers={"Cookie": f"__Host-portal_session={session}"}
        )
        assert "Grace Hopper" in page.text


@pytest.mark.requirement("AS-138", "GW-11")
async def test_who_knows_a_browsers_id_can_answer_no_question_of_it(flow: Flow, company: Company) -> None:
    """The attacker chose the id; the question's own id is in the victim's page alone."""
    client_id = (await flow.register())["client_id"]
    planted = {"Cookie": "__Host-portal_browser=mpb_chosen-by-an-attacker"}
    async with flow.client() as victim, flow.client() as attacker:
        page = await victim.get("/authorize", params=flow.request(client_id), headers=planted)
        for consent in ("", "guess", "mpb_chosen-by-an-attacker"):
            form = {"consent": consent, "decision": "allow"}
            assert (await attacker.post("/consent", data=form, headers=planted)).status_code == 400
        # Nor is the attacker's own question answered by the victim's browser: its form comes from another site.
        own = await attacker.get("/authorize", params=flow.request(client_id), headers=planted)
        form = {"consent": hidden(own, "consent"), "decision": "allow"}
        forged = await victim.post("/consent", data=form, headers=planted | {"Origin": "https://evil.example"})
        assert forged.status_code == 403
        assert company.asked == []
        form = {"consent": hidden(page, "consent"), "decision": "allow"}
        assert (await victim.post("/consent", data=form, headers=planted)).status_code == 303


@pytest.mark.requirement("AS-138", "GW-22")
async def test_a_state_that_an_attacker_made_up_or_started_signs_nobody_in(
    flow: Flow, company: Company, settings: AuthSettings
) -> None:
    cookies = Cookies(settings)
    async with flow.client() as attacker, flow.client() as victim:
        made_up = "mpo_" + "x" * 43
        name = cookies._of(made_up)
        answer = await victim.get(
            "/sign-in/callback",
            params={"state": made_up, "code": "c", "iss": LOGIN},
            headers={"Cookie": f"{name}={made_up}"},
        )
        assert answer.status_code == 400
        left = await attacker.post("/sign-in")
        back = company.comes_back(left.headers["location"])
        answer = await victim.get(back)  # the attacker's own sign-in, sent as a link
        assert answer.status_code == 400
        assert not answer.headers.get_list("set-cookie")
    assert company.count("/token") == 0
