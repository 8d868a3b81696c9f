"""Running programs of a grant that has ended are ended too, on every replica, within ``POLL_S`` and one query.

One query at a time asks for all grants that have a program running here; none is asked while nothing runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal.background import beside

POLL_S = 0.4
QUERY_TIMEOUT_S = 1.0
MAX_UNKNOWN = 5
"""Polls in a row that may fail. After that nobody knows who is still allowed, and every program is ended: closed."""

log = structlog.get_logger(__name__)

Ended = Callable[[Collection[str]], Awaitable[set[str]]]
"""Returns which of the grants have ended. Raises SQLAlchemyError."""


class Revoked(Exception):
    """The grant behind a running program has ended."""


class Revocations:
    """Watches the grants of the programs that run in this process."""

    def __init__(self, ended: Ended, *, poll_s: float = POLL_S) -> None:
        self._ended = ended
        self._poll_s = poll_s
        self._running: dict[str, set[asyncio.Timeout]] = {}
        self._some = asyncio.Event()
        self._unknown = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Revocations]:
        """Watch until left."""
        async with beside(self._watch(), "revocations"):
            yield self

    @asynccontextmanager
    async def watching(self, grant_id: str) -> AsyncIterator[None]:
        """Cancel what runs inside when the grant ends, and raise Revoked. ``""`` is the command line: no grant."""
        if not grant_id:
            yield
            return
        timer = asyncio.timeout(None)
        try:
            async with timer:
                self._running.setdefault(grant_id, set()).add(timer)
                self._some.set()
                try:
                    yield
                finally:
                    self._leave(grant_id, timer)
        except TimeoutError:
            if timer.expired():
                raise Revoked from None
            raise

    def _leave(self, grant_id: str, timer: asyncio.Timeout) -> None:
        timers = self._running.get(grant_id, set())
        timers.discard(timer)
        if not timers:
            self._running.pop(grant_id, None)
        if not self._running:
            self._some.clear()

    async def _watch(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(self._poll_s)
            for grant_id in await self._gone(list(self._running)):
                # Taken out first: a program that is ending must not be ended again.
                for timer in self._running.pop(grant_id, set()):
                    timer.reschedule(asyncio.get_running_loop().time())
                log.info("programs.revoked", grant_id=grant_id)

    async def _gone(self, watched: Collection[str]) -> Collection[str]:
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S):
                gone = await self._ended(watched)
        except (SQLAlchemyError, TimeoutError) as error:
            self._unknown += 1
            log.warning("programs.grants_unknown", error=type(error).__name__, polls=self._unknown)
            return watched if self._unknown >= MAX_UNKNOWN else ()
        self._unknown = 0
        return gone
