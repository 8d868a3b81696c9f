"""Refresh tokens: rotation, reuse, grace (OAuth 2.1 section 4.3.1, RFC 9700 section 4.14)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.authorization.refresh import GRACE_S
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, Clock, Flow, application, refused


async def _next(flow: Flow, client: Any, token: str) -> str:
    answer = await flow.refresh(client["client_id"], token)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["refresh_token"])


@pytest.mark.requirement("AS-101")
async def test_every_use_gives_a_new_token(flow: Flow) -> None:
    client, tokens = await flow.login()
    seen = [tokens["refresh_token"]]
    for _ in range(3):
        seen.append(await _next(flow, client, seen[-1]))
        flow.clock.advance(3_600)
    assert len(set(seen)) == 4


@pytest.mark.requirement("AS-102")
@BOTH
async def test_a_second_use_after_the_grace_ends_the_whole_family(flow: Flow) -> None:
    client, tokens = await flow.login()
    answer = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    flow.clock.advance(GRACE_S + 1)
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    assert refused(await flow.refresh(client["client_id"], answer["refresh_token"]), 400, "invalid_grant")
    assert (await flow.call(answer["access_token"])).status_code == 401


@pytest.mark.requirement("AS-103")
@BOTH
async def test_a_lost_answer_can_be_had_again_within_the_grace(flow: Flow) -> None:
    client, tokens = await flow.login()
    first = await _next(flow, client, tokens["refresh_token"])
    flow.clock.advance(GRACE_S)
    assert await _next(flow, client, tokens["refresh_token"]) == first
    assert await _next(flow, client, first) != first


@pytest.mark.requirement("AS-102")
async def test_a_repeat_whose_successor_was_used_already_ends_the_family(flow: Flow) -> None:
    """The client had its answer, or it could not have used it: the repeat comes from somebody else."""
    client, tokens = await flow.login()
    second = await _next(flow, client, await _next(flow, client, tokens["refresh_token"]))
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    assert refused(await flow.refresh(client["client_id"], second), 400, "invalid_grant")


@pytest.mark.requirement("AS-103")
async def test_a_thief_within_the_grace_gets_no_branch_of_its_own(flow: Flow) -> None:
    client, tokens = await flow.login()
    owner = await _next(flow, client, tokens["refresh_token"])
    thief = await _next(flow, client, tokens["refresh_token"])
    assert owner == thief
    await _next(flow, client, thief)
    flow.clock.advance(GRACE_S + 1)
    assert refused(await flow.refresh(client["client_id"], owner), 400, "invalid_grant")


@pytest.mark.requirement("AS-104")
async def test_a_token_of_another_client_is_refused_and_not_spent(flow: Flow) -> None:
    client, tokens = await flow.login()
    other = await flow.register()
    assert refused(await flow.refresh(other["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    await _next(flow, client, tokens["refresh_token"])


@pytest.mark.requirement("AS-80", "AS-104")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"refresh_token": None}, "invalid_request"),
        ({"refresh_token": "unknown"}, "invalid_grant"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
    ],
)
async def test_a_faulty_refresh_spends_nothing(flow: Flow, change: Any, error: Any) -> None:
    client, tokens = await flow.login()
    assert refused(
        await flow.refresh(client["client_id"], **({"refresh_token": tokens["refresh_token"]} | change)), 400, error
    )
    await _next(flow, client, tokens["refresh_token"])


@BOTH
async def test_an_unused_token_expires_and_a_used_grant_lives_on(flow: Flow, settings: AuthSettings) -> None:
    client, tokens = await flow.login()
    flow.clock.advance(settings.refresh_token_s - 1)
    token = await _next(flow, client, tokens["refresh_token"])
    flow.clock.advance(settings.refresh_token_s - 1)
    token = await _next(flow, client, token)
    flow.clock.advance(settings.refresh_token_s)
    assert refused(await flow.refresh(client["client_id"], token), 400, "invalid_grant")


async def test_a_token_that_expired_while_its_grant_lives_is_refused(flow: Flow, engine: AsyncEngine) -> None:
    client, tokens = await flow.login()
    async with engine.begin() as connection:
        await connection.execute(store.refresh_tokens.update().values(expires_at=int(flow.clock())))
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("AS-109")
async def test_a_refreshed_token_carries_the_groups_of_now(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    client, tokens = await flow.login()
    changed = Auth(dataclasses.replace(settings, local_groups=frozenset({"other"})), engine, clock=flow.clock)
    await changed.start()
    renewed = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    assert (await flow.call(renewed["access_token"])).json()["principal"]["groups"] == ["other"]


async def test_pruning_forgets_sealed_successors_but_still_knows_a_spent_token(flow: Flow, engine: AsyncEngine) -> None:
    client, tokens = await flow.login()
    token = await _next(flow, client, tokens["refresh_token"])
    flow.clock.advance(GRACE_S + 1)
    await flow.auth.prune()
    async with engine.connect() as connection:
        assert (await connection.execute(select(store.refresh_tokens.c.successor))).scalars().all() == [None, None]
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    assert refused(await flow.refresh(client["client_id"], token), 400, "invalid_grant")


@BOTH
async def test_a_grant_that_is_used_all_the_time_still_ends(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    settings = dataclasses.replace(settings, refresh_token_s=10 * 86_400, grant_s=15 * 86_400)
    auth = Auth(settings, engine, clock=clock)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    client, tokens = await flow.login()
    began, token = clock(), tokens["refresh_token"]
    clock.advance(9 * 86_400)
    token = await _next(flow, client, token)
    clock.advance(6 * 86_400 - 1)
    answer = (await flow.refresh(client["client_id"], token)).json()
    assert (await flow.call(answer["access_token"])).status_code == 200
    clock.advance(1)
    assert clock() - began == settings.grant_s
    assert (await flow.call(answer["access_token"])).status_code == 401
    assert refused(await flow.refresh(client["client_id"], answer["refresh_token"]), 400, "invalid_grant")


async def test_a_grant_from_before_a_shorter_limit_gives_no_further_token(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    first = Auth(settings, engine, clock=clock)
    await first.start()
    client, tokens = await Flow(first, clock, application(first)).login()
    shorter = Auth(dataclasses.replace(settings, grant_s=86_400), engine, clock=clock)
    await shorter.start()
    flow = Flow(shorter, clock, application(shorter))
    clock.advance(86_400)
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
