"""How the portal learns that an upstream's tools may have changed: at once, and never more often than it can take.

Through 2025-11-25 a server notifies on its own; from 2026-07-28 on only a client that holds a ``subscriptions/listen``
open is told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import mcp_types as t
import structlog
from mcp import Client
from mcp.client.subscriptions import ListenNotSupportedError
from mcp.shared.exceptions import MCPError

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 60.0
MIN_INTERVAL_S = 1.0
"""A server that tells of changes without end has its tools listed once in this time, and no more often."""

_UNSUPPORTED = frozenset({t.METHOD_NOT_FOUND, t.INVALID_PARAMS, t.INVALID_REQUEST})

log = structlog.get_logger(__name__)


class Changes:
    """What one upstream tells of changes. ``told`` may be called at any rate; ``on_change`` is not."""

    def __init__(self, upstream: str, on_change: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._on_change = on_change
        self._told = asyncio.Event()

    def told(self) -> None:
        """Note that the list may have changed."""
        self._told.set()

    async def pass_on(self) -> None:
        """Pass what was told on until cancelled: the first at once, all that follow within a second as one."""
        while True:
            await self._told.wait()
            self._told.clear()
            self._on_change(self._upstream)
            await asyncio.sleep(MIN_INTERVAL_S)

    async def listen(self, client: Client) -> None:
        """Listen until cancelled, and again after a stream is lost; return when the server does not offer it.

        Never raises for what the server does: a connection without news is better than none.
        """
        tools = client.server_capabilities.tools
        if tools is None or not tools.list_changed:
            return
        backoff_s = FIRST_BACKOFF_S
        missed = False
        while True:
            try:
                async with client.listen(tools_list_changed=True) as subscription:
                    if not subscription.honored.tools_list_changed:
                        return
                    if missed:
                        self.told()  # There is no replay of what happened between two streams.
                    async for _event in subscription:
                        backoff_s = FIRST_BACKOFF_S
                        self.told()
            except ListenNotSupportedError:
                return  # An older protocol: the notifications come by themselves.
            except MCPError as error:
                if error.code in _UNSUPPORTED:
                    log.info("upstream.listen_refused", upstream=self._upstream, code=error.code)
                    return
            except Exception as error:  # noqa: BLE001 - the boundary to a foreign server: its stream may end in any way
                log.info("upstream.listen_lost", upstream=self._upstream, error=type(error).__name__)
            missed = True
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
