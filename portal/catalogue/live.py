"""The catalogue as it is now: gathered from every upstream at start, and again when one may have changed.

An upstream that stops answering keeps its last good tools, marked stale; one that never answered is shown as down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from portal.background import beside
from portal.catalogue.gather import CatalogueConflict, gather
from portal.catalogue.meaning import TextVectors, word_vectors
from portal.catalogue.records import ServerState, State, Tool
from portal.catalogue.snapshot import Catalogue
from portal.upstream.failures import UpstreamFailure
from portal.upstream.registry import Upstreams

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 1.0


class LiveCatalogue:
    """Holds the current Catalogue; readers take ``current`` once per request and keep it."""

    def __init__(
        self, upstreams: Upstreams, *, ttl_s: float, vectors: Callable[[], TextVectors | None] = word_vectors
    ) -> None:
        self._upstreams = upstreams
        self._vectors = vectors
        self._ttl_s = ttl_s
        self._tools: dict[str, list[Tool]] = {}
        self._fresh: set[str] = set()
        self._publishing = asyncio.Lock()
        self.current = Catalogue((), ())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LiveCatalogue]:
        """Gather once, then keep fresh. Raises CatalogueConflict when two names collide at start."""
        await self.refresh(self._upstreams.take_stale())
        async with beside(self._keep_fresh(), "catalogue"):
            yield self

    async def refresh(self, names: set[str]) -> None:
        """Gather ``names`` again and publish a new Catalogue.

        A server whose names collide keeps its last good tools; one that has none raises CatalogueConflict.
        """
        outcomes = await asyncio.gather(*(self._gather(name) for name in names), return_exceptions=True)
        async with self._publishing:  # of two refreshes at once, the later one must publish last
            states = [self._state(name) for name in self._upstreams.names()]
            tools = [tool for name in self._upstreams.names() for tool in self._tools.get(name, ())]
            # In a thread: an index over thousands of tools takes longer than the event loop may stand still.
            self.current = await asyncio.to_thread(self._renewed, self.current, tools, states)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _gather(self, name: str) -> None:
        try:
            listed = await self._upstreams.tools(name)
        except UpstreamFailure as failure:
            self._fresh.discard(name)
            log.warning("catalogue.stale", upstream=name, kind=failure.kind)
            return
        try:
            tools, rejects = await asyncio.to_thread(gather, name, listed)
        except CatalogueConflict as conflict:
            if name not in self._tools:
                raise
            self._fresh.discard(name)
            log.warning("catalogue.conflict", upstream=name, reason=str(conflict))
            return
        for reject in rejects:
            log.warning("catalogue.tool_refused", upstream=name, tool=reject.name, reason=reject.reason)
        self._tools[name] = tools
        self._fresh.add(name)

    def _state(self, name: str) -> ServerState:
        state: State = "ready" if name in self._fresh else "stale" if name in self._tools else "down"
        return ServerState(name, self._upstreams.summary(name), state, self._upstreams.state(name)[1])

    async def _keep_fresh(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ttl_s):
                    await self._upstreams.changed.wait()
            stale = self._upstreams.take_stale() or set(self._upstreams.names())
            try:
                await self.refresh(stale)
            except Exception:
                # The boundary of this task: whatever one refresh meets, the last good catalogue stays in force.
                log.exception("catalogue.refresh_failed", upstreams=sorted(stale))
                await asyncio.sleep(FIRST_RETRY_S)

    def _renewed(self, current: Catalogue, tools: list[Tool], states: list[ServerState]) -> Catalogue:
        """Return ``current`` itself when nothing changed: its stubs and modules stay cached."""
        if list(current.tools) == tools and list(current.states) == states:
            return current
        return Catalogue(tools, states, before=current, vectors=self._vectors)
