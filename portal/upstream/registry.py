"""Every upstream of this portal, each behind its own connection; one that breaks never touches another."""

from __future__ import annotations

import asyncio
import keyword
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as t

from portal.sections import Upstream
from portal.settings import ConfigurationError
from portal.upstream.accounts import Accounts
from portal.upstream.connection import Connection
from portal.upstream.exchanged import ServerTokens
from portal.upstream.failures import UpstreamFailure
from shared_auth.principal import Principal

START_TIMEOUT_S = 10.0


class Upstreams:
    """The registry of connections. ``changed`` is set whenever any of them may list other tools than before."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        server_tokens: ServerTokens | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.changed = asyncio.Event()
        self._stale: set[str] = set(upstreams)
        for name in upstreams:
            if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name):
                raise ConfigurationError(f"upstreams.{name}: the name must be one that programs can import")
        self._configured = dict(upstreams)
        self._connections = {
            name: Connection(name, upstream, on_change=self._mark, server_tokens=server_tokens, accounts=accounts)
            for name, upstream in upstreams.items()
        }

    @asynccontextmanager
    async def running(self, *, portal_answers: bool = False) -> AsyncIterator[Upstreams]:
        """Keep every connection open. Those that answer are ready when this enters; one that refuses or says nothing is
        not waited for, and comes later. So does one that asks for the portal's keys first, but where a portal in
        another process answers (``portal_answers``).
        """
        tasks = [
            asyncio.create_task(connection.run(), name=f"upstream-{name}")
            for name, connection in self._connections.items()
        ]
        try:
            waited = [c for c in self._connections.values() if portal_answers or not c.needs_portal]
            await asyncio.gather(*(c.wait_tried(START_TIMEOUT_S) for c in waited))
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def names(self) -> list[str]:
        """Return the configured upstreams in order."""
        return list(self._connections)

    def summary(self, name: str) -> str:
        """Return what the operator says an upstream is for."""
        return self._configured[name].summary

    def state(self, name: str) -> tuple[str, str]:
        """Return (connecting | ready | down, why)."""
        connection = self._connections[name]
        return connection.state, connection.detail

    def take_stale(self) -> set[str]:
        """Return the upstreams whose listing may have changed since the last take."""
        stale, self._stale = self._stale, set()
        self.changed.clear()
        return stale

    async def tools(self, name: str) -> list[t.Tool]:
        """Return an upstream's tools as it lists them now. Raises UpstreamFailure."""
        return await self._connections[name].tools()

    async def call(
        self, server: str, tool: str, arguments: dict[str, Any], principal: Principal, timeout_s: float
    ) -> Any:
        """Call one tool as one person. Raises UpstreamFailure."""
        connection = self._connections.get(server)
        if connection is None:
            raise UpstreamFailure(server, "unavailable", "no such server", sent=False)
        return await connection.call(tool, arguments, principal, timeout_s)

    def _mark(self, name: str) -> None:
        self._stale.add(name)
        self.changed.set()
