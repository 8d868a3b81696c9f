"""What two replicas do in one moment, played move by move: the database is made to say what it would say then."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.keys import Keys, generate, public_half
from shared_auth.people import People, Person
from shared_auth.sealing import Seal
from tests.shared_auth.flow import Clock, Flow, refused


@contextmanager
def meanwhile(engine: AsyncEngine, begins: str, move: Callable[[Any, str], str]) -> Iterator[None]:
    """Let ``move`` act on the cursor just before the first statement that begins so, and say what runs in its place."""
    left = [move]

    def before(_conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return (left.pop()(cursor, statement) if left and statement.startswith(begins) else statement), parameters

    event.listen(engine.sync_engine, "before_cursor_execute", before, retval=True)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", before)
    assert not left


def revoked(cursor: Any, statement: str) -> str:
    cursor.execute("UPDATE auth_grants SET revoked_at = 1")
    return statement


async def test_a_replica_whose_key_comes_second_signs_with_the_first(engine: AsyncEngine, clock: Clock) -> None:
    seal, key = Seal(b"s" * 32), generate()
    row = (1, key["kid"], json.dumps(public_half(key)), seal.seal(json.dumps(key).encode(), row=key["kid"]), 1)

    def inserted(_cursor: Any, statement: str) -> str:
        with contextlib.closing(sqlite3.connect(str(engine.url.database))) as other, other:
            other.execute(
                "INSERT INTO auth_keys (position, kid, public, sealed, created_at) VALUES (?, ?, ?, ?, ?)", row
            )
        return statement

    late = Keys(engine, seal, clock=clock)
    with meanwhile(engine, "INSERT INTO auth_keys", inserted):
        await late.start()
    assert late.signing["kid"] == key["kid"]
    assert set(late.public) == {key["kid"]}


async def test_a_grant_that_is_revoked_while_its_code_is_redeemed_gives_nothing(
    flow: Flow, engine: AsyncEngine
) -> None:
    client = await flow.register()
    await flow.sign_in()
    code = await flow.code(client["client_id"])
    with meanwhile(engine, "UPDATE auth_grants", revoked):
        assert refused(await flow.redeem(client["client_id"], code), 400, "invalid_grant")


async def test_a_grant_that_is_revoked_while_it_is_refreshed_gives_nothing(flow: Flow, engine: AsyncEngine) -> None:
    client, tokens = await flow.login()
    with meanwhile(engine, "UPDATE auth_grants", revoked):
        assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")


async def test_a_person_whom_another_replica_stored_just_before_is_renewed(engine: AsyncEngine) -> None:
    people = People(engine)
    await people.remember(Person("grace", "Grace", "", frozenset()), now=1)
    renamed = Person("grace", "Grace Hopper", "", frozenset({"navy"}))
    # The look came before the other replica's insert, and ours comes after it.
    with meanwhile(engine, "UPDATE auth_people", lambda _, statement: statement.replace("WHERE", "WHERE 1 = 0 AND")):
        await people.remember(renamed, now=2)
    assert await people.find("grace", since=2) == renamed
