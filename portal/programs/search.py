"""``search`` for one principal: only what policy lets that principal see."""

from __future__ import annotations

import asyncio

from portal.catalogue.live import LiveCatalogue
from portal.catalogue.reply import prepare, search_reply
from portal.gate import Gate
from shared_auth.principal import Principal


class Search:
    """Answers ``search`` from the current catalogue."""

    def __init__(self, live: LiveCatalogue, gate: Gate) -> None:
        self._live = live
        self._gate = gate

    async def search(self, principal: Principal, queries: list[str], *, server: str | None, limit: int | None) -> str:
        """Return the reply's text. A tool that the principal may not call never appears in it."""
        current = self._live.current
        if current.is_slow:
            await asyncio.to_thread(prepare, current, queries)
        return search_reply(current, queries, server=server, limit=limit, allowed=self._gate.allowed(principal))
