"""How often a person may type in a code: counted in the database, so that more replicas are not more guesses."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import case, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.store import changed, tries

BURST = 10
EVERY_S = 60


class Tries:
    """``BURST`` at once, and then one in ``EVERY_S`` seconds.

    One number a person: the moment from which all tries are free again. Each try moves it on, and may not move it
    further than ``BURST`` tries away.
    """

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def take(self, subject: str) -> bool:
        """Say whether ``subject`` may try once more now, on any replica, and count it."""
        now = int(self._clock())
        later = case((tries.c.full_at > now, tries.c.full_at), else_=now) + EVERY_S
        mine = update(tries).where(tries.c.subject == subject, later <= now + BURST * EVERY_S).values(full_at=later)
        async with self._engine.begin() as connection:
            if await changed(connection, mine):
                return True
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(tries).values(subject=subject, full_at=now + EVERY_S))
        except IntegrityError:  # not the first: either there were too many, or somebody was first this very moment
            async with self._engine.begin() as connection:
                return bool(await changed(connection, mine))
        return True

    async def prune(self) -> int:
        """Forget those whose tries are all free again."""
        async with self._engine.begin() as connection:
            return await changed(connection, delete(tries).where(tries.c.full_at <= int(self._clock())))
