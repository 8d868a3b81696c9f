"""People as their sign-in last described them. Groups are read whenever a token is minted."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.principal import CLIENT_SUBJECT
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, people


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in. ``subject`` is the identity; the rest may change at any sign-in."""

    subject: str
    name: str
    email: str
    groups: frozenset[str]


class People:
    """The people that have signed in."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def remember(self, person: Person, *, now: int) -> None:
        """Store what is known of ``person`` now. Safe when several replicas do it at once.

        Raises Denied for a subject that would make a person look like a client.
        """
        if person.subject.startswith(CLIENT_SUBJECT):
            raise Denied(Reason.SUBJECT_RESERVED)
        values = {
            "name": person.name,
            "email": person.email,
            "groups": json.dumps(sorted(person.groups)),
            "updated_at": now,
        }
        renew = update(people).where(people.c.subject == person.subject).values(**values)
        try:
            async with self._engine.begin() as connection:
                if not await changed(connection, renew):
                    await connection.execute(insert(people).values(subject=person.subject, **values))
        except IntegrityError:  # another replica inserted between the two statements
            async with self._engine.begin() as connection:
                await connection.execute(renew)

    async def find(self, subject: str, *, since: float = 0) -> Person | None:
        """Return the person, or None when nobody has signed in under ``subject`` since ``since`` (epoch seconds)."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(people).where(people.c.subject == subject))).first()
        if row is None or row.updated_at < since:
            return None
        return Person(row.subject, row.name, row.email, frozenset(json.loads(row.groups)))
