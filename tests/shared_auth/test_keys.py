from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.configuration import ConfigurationError
from shared_auth.keys import KEY_LIFE_S, RELOAD_AFTER_S, SETTLED_AFTER_S, Keys, generate, public_half
from shared_auth.sealing import NONCE_BYTES, Seal, Unsealable
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, Clock

SEAL = Seal(b"s" * 32)


@pytest.mark.requirement("SH-05")
@BOTH
async def test_replicas_that_start_together_have_one_key(engine: AsyncEngine, clock: Clock) -> None:
    replicas = [Keys(engine, SEAL, clock=clock) for _ in range(5)]
    await asyncio.gather(*(replica.start() for replica in replicas))
    assert len({replica.signing["kid"] for replica in replicas}) == 1
    assert all(set(replica.public) == {replicas[0].signing["kid"]} for replica in replicas)


@pytest.mark.requirement("SH-05")
@BOTH
async def test_an_old_key_is_replaced_still_verifies_and_goes_when_every_replica_has_moved(
    engine: AsyncEngine, clock: Clock
) -> None:
    one, two = Keys(engine, SEAL, clock=clock), Keys(engine, SEAL, clock=clock)
    await one.start()
    await two.start()
    old = one.signing["kid"]
    clock.advance(KEY_LIFE_S)
    await one.start()
    new = one.signing["kid"]
    assert new != old
    assert set(one.public) == {old, new}
    assert await two.knows(new), "a replica finds a new key by itself"
    assert two.signing["kid"] == new
    assert await one.prune() == 0
    clock.advance(SETTLED_AFTER_S)
    assert await one.prune() == 1
    assert set(one.public) == {new}


async def test_made_up_key_ids_reach_the_database_once_a_second_at_most(engine: AsyncEngine, clock: Clock) -> None:
    known, other = Keys(engine, SEAL, clock=clock), Keys(engine, SEAL, clock=clock)
    await known.start()
    await other.start()
    clock.advance(KEY_LIFE_S)
    assert not await known.knows("made up")  # looked just now
    await other.start()
    assert not await known.knows(other.signing["kid"])
    clock.advance(RELOAD_AFTER_S)
    assert await known.knows(other.signing["kid"])


@pytest.mark.requirement("SH-05")
async def test_the_database_holds_no_private_key_in_the_clear(engine: AsyncEngine, clock: Clock) -> None:
    found = Keys(engine, SEAL, clock=clock)
    await found.start()
    async with engine.connect() as connection:
        row = (await connection.execute(select(store.keys))).one()
    assert found.signing["d"].encode() not in row.sealed
    assert '"d"' not in row.public
    assert "d" not in found.public[row.kid]


async def test_the_wrong_secret_refuses_to_start_and_says_what_to_do(
    auth: Auth, settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    with pytest.raises(ConfigurationError, match="secret: does not open"):
        await Auth(dataclasses.replace(settings, secret=b"x" * 32), engine, clock=clock).start()


async def test_a_sealed_key_moved_to_another_key_id_does_not_open(engine: AsyncEngine, clock: Clock) -> None:
    found = Keys(engine, SEAL, clock=clock)
    await found.start()
    async with engine.begin() as connection:
        await connection.execute(update(store.keys).values(kid="another"))
    with pytest.raises(ConfigurationError, match="secret"):
        await Keys(engine, SEAL, clock=clock).start()


async def test_nothing_is_signed_before_the_keys_are_loaded(engine: AsyncEngine, clock: Clock) -> None:
    with pytest.raises(ConfigurationError, match="start"):
        _ = Keys(engine, SEAL, clock=clock).signing


def test_the_public_half_has_no_secret_and_keys_differ() -> None:
    one, two = generate(), generate()
    assert one["kid"] != two["kid"]
    assert set(public_half(one)) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.parametrize("sealed", [b"", b"x" * NONCE_BYTES, b"x" * 60])
def test_what_was_not_sealed_does_not_open(sealed: Any) -> None:
    with pytest.raises(Unsealable):
        SEAL.open(sealed, row="row")


def test_a_seal_opens_for_its_own_row_and_secret_only() -> None:
    sealed = SEAL.seal(b"secret", row="row")
    assert SEAL.open(sealed, row="row") == b"secret"
    assert sealed != SEAL.seal(b"secret", row="row")
    for seal, row in ((SEAL, "other"), (Seal(b"x" * 32), "row")):
        with pytest.raises(Unsealable):
            seal.open(sealed, row=row)
