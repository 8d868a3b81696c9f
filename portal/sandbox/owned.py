"""Work that its sandbox owns: closing can end it, whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from portal.sandbox.contract import SandboxUnavailable

_T = TypeVar("_T")


class Owned:
    """The runs and checks of one sandbox that have not ended."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what ``work`` returns. Raises what it raises, and SandboxUnavailable when ``end`` comes first."""
        task = asyncio.create_task(work)
        self._running.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._closing and (current is None or not current.cancelling()):
                raise SandboxUnavailable("the sandbox is closing") from None
            raise
        finally:
            self._running.discard(task)

    async def end(self) -> None:
        """Cancel everything and wait for it."""
        self._closing = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
