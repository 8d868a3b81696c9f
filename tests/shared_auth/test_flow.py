"""The whole flow, on both databases: register, sign in, consent, code, token, call, refresh, revoke."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.shared_auth.flow import BOTH, CALLBACK, ISSUER, RESOURCE, Flow, hidden, query_of, refused


@pytest.mark.requirement("AS-01", "AS-70", "AS-100")
@BOTH
async def test_an_agent_gets_in_after_one_sign_in_and_one_yes(flow: Flow) -> None:
    client = await flow.register()
    waiting = await flow.authorize(client["client_id"])
    assert "Sign in first" in waiting.text
    onward = await flow.sign_in()
    page = await flow.browser.get(onward.headers["location"])
    answer = await flow.decide(page)
    query = query_of(answer.headers["location"])
    tokens = (await flow.redeem(client["client_id"], query["code"])).json()
    called = (await flow.call(tokens["access_token"])).json()["principal"]

    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    assert (query["state"], query["iss"]) == ("a state", ISSUER)
    assert (tokens["token_type"], tokens["scope"], tokens["expires_in"]) == ("Bearer", "mcp", 600)
    assert {name: called[name] for name in ("issuer", "subject", "client_id", "groups", "name", "client_name")} == {
        "issuer": ISSUER,
        "subject": "ada",
        "client_id": client["client_id"],
        "groups": ["portal-writers"],
        "name": "Ada Lovelace",
        "client_name": "Agent",
    }


@BOTH
async def test_a_refreshed_token_works_and_a_revoked_grant_ends_all_of_them(flow: Flow) -> None:
    client, tokens = await flow.login()
    renewed = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    assert (await flow.call(renewed["access_token"])).status_code == 200

    assert await flow.auth.revoke_grants(subject="ada") == 1
    for token in (tokens["access_token"], renewed["access_token"]):
        assert (await flow.call(token)).status_code == 401
    assert refused(await flow.refresh(client["client_id"], renewed["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("AS-20", "AS-21")
@BOTH
async def test_of_many_uses_of_one_code_at_once_at_most_one_wins_and_the_grant_ends(flow: Flow) -> None:
    client = await flow.register()
    await flow.sign_in()
    code = await flow.code(client["client_id"])
    answers = await asyncio.gather(*(flow.redeem(client["client_id"], code) for _ in range(5)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) <= 1
    for answer in won:
        assert (await flow.call(answer.json()["access_token"])).status_code == 401


@pytest.mark.requirement("AS-103")
@BOTH
async def test_concurrent_uses_of_one_refresh_token_get_one_and_the_same_successor(flow: Flow) -> None:
    client, tokens = await flow.login()
    answers = await asyncio.gather(
        *(flow.refresh(client["client_id"], tokens["refresh_token"]) for _ in range(5)),
    )
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


@BOTH
async def test_of_many_posts_of_one_sign_in_link_one_signs_in(flow: Flow) -> None:
    page = await flow.browser.get(await flow.auth.sign_in_link())
    form = {"code": hidden(page, "code")}
    answers = await asyncio.gather(*(flow.agent.post("/sign-in", data=form) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400, 400]


@pytest.mark.requirement("GW-11")
@BOTH
async def test_of_many_answers_to_one_question_one_counts(flow: Flow) -> None:
    client = await flow.register()
    await flow.sign_in()
    page = await flow.authorize(client["client_id"])
    answers: list[httpx.Response] = await asyncio.gather(*(flow.decide(page) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400, 400]


@BOTH
async def test_pruning_deletes_what_has_ended_and_keeps_what_lives(flow: Flow) -> None:
    client, tokens = await flow.login()
    await flow.register(client_name="never used")
    assert await flow.auth.prune() == 2  # the spent link and the answered question
    flow.clock.advance(86_500)
    assert await flow.auth.prune() == 3  # the unused client, the session, the code
    renewed = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    assert (await flow.call(renewed["access_token"])).status_code == 200
    flow.clock.advance(181 * 86_400)
    assert await flow.auth.prune() >= 3  # client, grant, refresh tokens, an old key when there was one


@BOTH
async def test_times_sizes_and_text_of_any_script_fit_the_tables(flow: Flow) -> None:
    client = await flow.register(client_name="代理 Ünï", redirect_uris=[f"https://a.example/{'x' * 1900}"])
    await flow.sign_in()
    page = await flow.authorize(
        client["client_id"], redirect_uri=client["redirect_uris"][0], state="s" * 3000, resource=RESOURCE
    )
    assert "代理 Ünï" in page.text
    assert query_of((await flow.decide(page)).headers["location"])["state"] == "s" * 3000
