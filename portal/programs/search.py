"""``search`` for one principal: only what policy lets that principal see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from portal.catalogue.live import LiveCatalogue
from portal.catalogue.reply import prepare, search_reply
from portal.gate import Gate
from shared_auth.principal import Principal

Unconnected = Callable[[Principal], Awaitable[Mapping[str, str]]]
"""Servers for which a principal's account is not connected, each with the page where it can be."""


async def all_connected(_principal: Principal) -> Mapping[str, str]:
    """Return nothing: for a portal whose servers work without people's accounts."""
    return {}


class Search:
    """Answers ``search`` from the current catalogue."""

    def __init__(self, live: LiveCatalogue, gate: Gate, unconnected: Unconnected = all_connected) -> None:
        self._live = live
        self._gate = gate
        self._unconnected = unconnected

    async def search(self, principal: Principal, queries: list[str], *, server: str | None, limit: int | None) -> str:
        """Return the reply's text. A tool that the principal may not call never appears in it.

        A server of which tools are shown, and for which the person has connected no account, is named with the page.
        """
        current = self._live.current
        if current.is_slow:
            await asyncio.to_thread(prepare, current, queries)
        text = search_reply(current, queries, server=server, limit=limit, allowed=self._gate.allowed(principal))
        pages = await self._unconnected(principal)
        shown = {line[7:].partition(" ")[0] for line in text.splitlines() if line.startswith("import ")}
        lines = [
            f"{name}: your account is not connected; open {page} first" for name, page in pages.items() if name in shown
        ]
        return "\n\n".join([text, *(["\n".join(lines)] if lines else [])])
