"""The page on which people end what agents may do for them, and operators what anybody may."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, Clock, Flow, application, hidden

OPERATORS = "portal-operators"


async def end(flow: Flow, what: str, **form: str) -> httpx.Response:
    """Open the page and press one of its buttons, whether or not it shows it."""
    token = hidden(await flow.browser.get("/access"), "form_token")
    return await flow.browser.post("/access", data={"form_token": token, "end": what, **form})


async def on_record(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    columns = [store.revocations.c[name] for name in ("revoked_by", "grant_id", "subject", "client_id", "ended")]
    async with engine.connect() as connection:
        rows = await connection.execute(select(*columns).order_by(store.revocations.c.position))
        return [tuple(row) for row in rows]


@pytest.fixture
async def operated(settings: AuthSettings, engine: AsyncEngine, clock: Clock) -> Flow:
    """A flow whose local person is an operator."""
    groups = settings.local_groups | {OPERATORS}
    settings = dataclasses.replace(settings, local_groups=groups, admin_groups=frozenset({OPERATORS}))
    auth = Auth(settings, engine, clock=clock)
    await auth.start()
    return Flow(auth, clock, application(auth))


@pytest.mark.requirement("AS-141")
@BOTH
async def test_a_person_sees_their_grants_and_ends_one(flow: Flow, engine: AsyncEngine) -> None:
    first, tokens = await flow.login(client_name="Agent one")
    _, others = await flow.login(client_name="<b>Agent two</b>")
    page = await flow.browser.get("/access")
    assert "&lt;b&gt;Agent two&lt;/b&gt;" in page.text
    assert first["client_id"] in page.text
    assert "127.0.0.1:5000" in page.text
    assert "2027-01-15 08:00 UTC" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    (one,) = [grant_id for grant_id, name in await ids(engine) if name == "Agent one"]
    assert "1 grant ended" in (await end(flow, "mine", grant_id=one)).text
    assert (await flow.call(tokens["access_token"])).status_code == 401
    assert (await flow.call(others["access_token"])).status_code == 200
    assert "Agent one" not in (await flow.browser.get("/access")).text
    assert await on_record(engine) == [("ada", one, "ada", None, 1)]


async def ids(engine: AsyncEngine) -> list[tuple[str, str]]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(store.grants.c.grant_id, store.grants.c.client_name))
        return [(row[0], row[1]) for row in rows]


async def test_ending_all_of_ones_own_signs_out_and_leaves_other_people_alone(flow: Flow, engine: AsyncEngine) -> None:
    _, tokens = await flow.login()
    async with engine.begin() as connection:
        await connection.execute(store.grants.update().values(subject="ada"))
    elsewhere = await flow.auth.local_token(ttl_s=600)
    async with engine.begin() as connection:
        mine = store.grants.c.client_id == "portal-cli"
        await connection.execute(store.grants.update().where(mine).values(subject="grace"))
    answer = await end(flow, "all-mine")
    assert "1 grant ended" in answer.text
    assert "signed out" in answer.text
    assert (await flow.browser.get("/access")).status_code == 303
    assert (await flow.call(tokens["access_token"])).status_code == 401
    assert (await flow.call(elsewhere)).status_code == 200


@pytest.mark.requirement("AS-142")
async def test_a_grant_of_somebody_else_is_not_ended_and_looks_like_none(flow: Flow, engine: AsyncEngine) -> None:
    _, tokens = await flow.login()
    async with engine.begin() as connection:
        await connection.execute(store.grants.update().values(subject="grace"))
    ((theirs, _),) = await ids(engine)
    assert "Nobody acts for you" in (await flow.browser.get("/access")).text
    found, none = await end(flow, "mine", grant_id=theirs), await end(flow, "mine", grant_id="mpg_no-such")
    assert found.text == none.text
    assert "0 grants ended" in found.text
    assert (await flow.call(tokens["access_token"])).status_code == 200


@pytest.mark.requirement("AS-142")
@pytest.mark.parametrize("form", [{}, {"end": "mine"}, {"end": "mine", "grant_id": " "}, {"end": "x"}])
async def test_an_empty_name_ends_nothing(operated: Flow, form: dict[str, str]) -> None:
    _, tokens = await operated.login()
    token = hidden(await operated.browser.get("/access"), "form_token")
    assert (await operated.browser.post("/access", data={"form_token": token} | form)).status_code == 400
    assert (await operated.call(tokens["access_token"])).status_code == 200


@pytest.mark.requirement("AS-142")
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_cannot_end_anything(flow: Flow, headers: dict[str, str]) -> None:
    _, tokens = await flow.login()
    token = hidden(await flow.browser.get("/access"), "form_token")
    form = {"form_token": token, "end": "all-mine"}
    assert (await flow.browser.post("/access", data=form, headers=headers)).status_code == 403
    assert (await flow.call(tokens["access_token"])).status_code == 200


@pytest.mark.requirement("AS-142")
async def test_a_form_of_another_session_or_of_none_is_refused(flow: Flow) -> None:
    _, tokens = await flow.login()
    async with flow.client() as other:
        await flow.sign_in(other)
        theirs = hidden(await other.get("/access"), "form_token")
    for token in (theirs, "", "x", "\u00e9"):
        answer = await flow.browser.post("/access", data={"form_token": token, "end": "all-mine"})
        assert answer.status_code == 403
    async with flow.client() as stranger:
        assert (await stranger.get("/access")).headers["location"] == f"{flow.issuer}/"
        assert (await stranger.post("/access", data={"token": theirs, "end": "everybody"})).status_code == 403
    assert (await flow.call(tokens["access_token"])).status_code == 200


@pytest.mark.requirement("AS-142")
@pytest.mark.parametrize(
    "form",
    [
        {"what": "person", "subject": "ada"},
        {"what": "client", "client_id": "portal-cli"},
        {"what": "everybody", "confirmation": "everybody"},
    ],
)
async def test_who_is_no_operator_ends_nobody_elses_access(
    flow: Flow, form: dict[str, str], engine: AsyncEngine
) -> None:
    _, tokens = await flow.login()
    assert "Operators" not in (await flow.browser.get("/access")).text
    answer = await end(flow, **form)
    assert answer.status_code == 403
    assert "Only operators" in answer.text
    assert (await flow.call(tokens["access_token"])).status_code == 200
    assert await on_record(engine) == []


@pytest.mark.requirement("AS-141")
@BOTH
async def test_an_operator_ends_a_persons_and_a_clients_access(operated: Flow, engine: AsyncEngine) -> None:
    client, tokens = await operated.login()
    assert "Operators" in (await operated.browser.get("/access")).text
    assert "1 grant ended" in (await end(operated, "client", client_id=client["client_id"])).text
    assert (await operated.call(tokens["access_token"])).status_code == 401
    assert "0 grants ended" in (await end(operated, "person", subject="grace")).text
    assert "You are signed out" in (await end(operated, "person", subject="ada")).text
    assert await on_record(engine) == [
        ("ada", None, None, client["client_id"], 1),
        ("ada", None, "grace", None, 0),
        ("ada", None, "ada", None, 0),
    ]


async def test_everybodys_access_ends_only_when_that_is_typed(operated: Flow, engine: AsyncEngine) -> None:
    _, tokens = await operated.login()
    token = await operated.auth.local_token(ttl_s=600)
    for typed in ({}, {"confirmation": "EVERYBODY"}, {"confirmation": "yes"}):
        answer = await end(operated, "everybody", **typed)
        assert answer.status_code == 400
        assert "Nothing was ended" in answer.text
    assert (await operated.call(token)).status_code == 200
    assert "2 grants ended" in (await end(operated, "everybody", confirmation="everybody")).text
    for ended in (token, tokens["access_token"]):
        assert (await operated.call(ended)).status_code == 401
    assert await on_record(engine) == [("ada", None, None, None, 2)]


@pytest.mark.requirement("AS-141")
async def test_what_is_not_on_record_has_not_ended(flow: Flow, engine: AsyncEngine) -> None:
    _, tokens = await flow.login()
    async with engine.begin() as connection:
        await connection.run_sync(store.revocations.drop)
    token = hidden(await flow.browser.get("/access"), "form_token")
    assert (await flow.browser.post("/access", data={"form_token": token, "end": "all-mine"})).status_code == 503
    assert (await flow.call(tokens["access_token"])).status_code == 200
