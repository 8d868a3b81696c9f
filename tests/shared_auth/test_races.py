"""What two replicas do in one moment, played move by move."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import people as room
from shared_auth.authorization import grants
from shared_auth.people import People, Person
from tests.shared_auth.flow import Flow, refused


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Between the look at a grant and its use, another replica revokes it: the UPDATE finds nothing."""

    async def none(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(grants, "extend", none)
    return monkeypatch


async def test_a_grant_that_is_revoked_while_its_code_is_redeemed_gives_nothing(
    flow: Flow, request: pytest.FixtureRequest
) -> None:
    client = await flow.register()
    await flow.sign_in()
    code = await flow.code(client["client_id"])
    request.getfixturevalue("gone")
    assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")


async def test_a_grant_that_is_revoked_while_it_is_refreshed_gives_nothing_and_spends_nothing(
    flow: Flow, request: pytest.FixtureRequest
) -> None:
    client, tokens = await flow.login()
    patch: pytest.MonkeyPatch = request.getfixturevalue("gone")
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    patch.undo()
    assert (await flow.refresh(client["client_id"], tokens["refresh_token"])).status_code == 200


async def test_a_person_whom_another_replica_stored_just_before_is_renewed(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(engine)
    await people.remember(Person("grace", "Grace", "", frozenset()), now=1)

    async def finds_none(_connection: Any, _statement: Any) -> int:
        return 0  # the other replica inserts just after this look

    monkeypatch.setattr(room, "changed", finds_none)
    renamed = Person("grace", "Grace Hopper", "", frozenset({"navy"}))
    await people.remember(renamed, now=2)
    assert await people.find("grace", since=2) == renamed
