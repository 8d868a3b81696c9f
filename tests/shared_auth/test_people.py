from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.people import People, Person

GRACE = Person("4711@login.example", "Grace Hopper", "", frozenset({"staff"}))


async def test_what_was_known_too_long_ago_is_not_known(engine: AsyncEngine) -> None:
    people = People(engine)
    await people.remember(GRACE, now=100)
    assert await people.find(GRACE.subject, since=100) == GRACE
    assert await people.find(GRACE.subject, since=101) is None
