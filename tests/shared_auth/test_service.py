from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose
from shared_auth.configuration import ConfigurationError
from shared_auth.people import People, Person
from shared_auth.principal import Principal
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, ISSUER, Clock, Flow


@BOTH
async def test_a_token_of_the_command_line_works_in_the_portal_on_the_same_database(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    elsewhere = Auth(settings, engine, clock=flow.clock)
    await elsewhere.start()
    token = await elsewhere.local_token(client_id="ci", name="the build", ttl_s=3_600)
    principal = (await flow.call(token)).json()["principal"]
    assert (principal["client_id"], principal["client_name"], principal["subject"]) == ("ci", "the build", "ada")
    flow.clock.advance(3_600)
    assert (await flow.call(token)).status_code == 401


async def test_the_local_person_acts_without_a_token(auth: Auth) -> None:
    assert await auth.provider_ready() is None
    principal = await auth.local_principal()
    assert principal == Principal(
        issuer=ISSUER,
        subject="ada",
        client_id="portal-cli",
        scopes=frozenset({"mcp"}),
        groups=frozenset({"portal-writers"}),
        name="Ada Lovelace",
        email="ada@example.com",
    )


async def test_with_local_sign_in_off_there_is_no_local_person(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    auth = Auth(dataclasses.replace(settings, local_sign_in=False), engine, clock=clock)
    await auth.start()
    for use in (auth.sign_in_link(), auth.local_token(ttl_s=60), auth.local_principal()):
        with pytest.raises(ConfigurationError, match="local_sign_in"):
            await use


async def test_a_token_for_more_than_a_day_is_refused(auth: Auth) -> None:
    with pytest.raises(ValueError, match="ttl_s"):
        await auth.local_token(ttl_s=86_401)


@BOTH
async def test_grants_end_by_person_by_client_or_all(auth: Auth) -> None:
    for client_id in ("one", "two", "three"):
        await auth.local_token(client_id=client_id, ttl_s=60)
    assert await auth.revoke_grants(subject="nobody") == 0
    assert await auth.revoke_grants(subject="ada", client_id="one") == 1
    assert await auth.revoke_grants(client_id="one") == 0
    assert await auth.revoke_grants() == 2


@BOTH
async def test_replicas_that_meet_the_same_person_at_once_store_one(engine: AsyncEngine) -> None:
    people = People(engine)
    one = Person("grace", "Grace", "", frozenset({"a"}))
    await asyncio.gather(*(people.remember(one, now=1) for _ in range(8)))
    renamed = dataclasses.replace(one, name="Grace Hopper", groups=frozenset())
    await people.remember(renamed, now=2)
    assert await people.find("grace") == renamed
    assert await people.find("nobody") is None


@BOTH
async def test_of_many_grants_those_that_ended_are_named(auth: Auth, clock: Clock) -> None:
    tokens = [await auth.local_token(client_id=f"c{n}", ttl_s=60 + n % 2) for n in range(4)]
    known = [str(jose.claimed(token)["gid"]) for token in tokens]
    unknown = {f"unknown-{n}" for n in range(600)}
    assert await auth.ended_grants([]) == set()
    assert await auth.ended_grants([*known, *unknown]) == unknown
    await auth.revoke_grants(client_id="c1")
    assert await auth.ended_grants(known) == {known[1]}
    clock.advance(60)
    assert await auth.ended_grants(known) == {known[0], known[1], known[2]}


@pytest.mark.requirement("AS-136")
async def test_no_secret_reaches_the_log(flow: Flow, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    client, tokens = await flow.login(token_endpoint_auth_method="none")
    link = await flow.auth.sign_in_link()
    await flow.call(tokens["access_token"] + "x")
    await flow.refresh(client["client_id"], tokens["refresh_token"] + "x")
    await flow.redeem(client["client_id"], "a wrong code that nobody should see")
    await flow.authorize(client["client_id"], scope="admin", state="a state that nobody should see")
    await flow.agent.get("/sign-in?code=a-wrong-link-that-nobody-should-see")
    ours = [record for record in caplog.records if record.name == "shared_auth"]
    reasons = [record.__dict__["reason"] for record in ours if "reason" in record.__dict__]
    assert [record.message for record in ours if "reason" not in record.__dict__] == ["grant.agreed"]
    assert reasons == ["token_invalid", "refresh_unknown", "code_unknown", "scope_unknown", "link_unknown"]
    text = " ".join(str(record.__dict__) for record in ours)
    for secret in (
        tokens["access_token"],
        tokens["refresh_token"],
        link.partition("code=")[2],
        "nobody should see",
        "nobody-should-see",
    ):
        assert secret not in text


@pytest.mark.requirement("AS-136")
async def test_a_token_that_is_used_twice_is_a_warning_in_the_log(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    client, tokens = await flow.login()
    await flow.refresh(client["client_id"], tokens["refresh_token"])
    flow.clock.advance(60)
    caplog.set_level(logging.WARNING)
    await flow.refresh(client["client_id"], tokens["refresh_token"])
    assert [record.__dict__["reason"] for record in caplog.records if record.name == "shared_auth"] == [
        "refresh_reused"
    ]
