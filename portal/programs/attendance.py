"""A program in a task of its own, and the request that waits for its next reply.

A client that goes away ends its program. While the program waits for a person in its own process no request waits for
it, and nothing that a client does ends it; a later one comes for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from portal.programs.reply import Reply

log = structlog.get_logger(__name__)


class Attendance:
    """One program's task. ``begin`` once; then ``attend`` once after each ``say``."""

    def __init__(self) -> None:
        self._said: asyncio.Future[Reply] | None = None
        self._task: asyncio.Task[Reply] | None = None

    async def begin(self, life: Coroutine[Any, Any, Reply]) -> Reply:
        """Start ``life`` and return its first reply. Raises what it raises; cancelled, it cancels ``life``."""
        self._task = asyncio.create_task(life, name="program")
        self._task.add_done_callback(_noted)
        return await self.attend()

    def say(self, reply: Reply) -> None:
        """Answer the request that waits. Called by ``life``, which goes on."""
        if self._said is not None and not self._said.done():
            self._said.set_result(reply)

    async def attend(self) -> Reply:
        """Return the next reply, or what ``life`` returns. Raises and cancels as ``begin``."""
        if self._task is None:
            raise RuntimeError("the program has not begun")
        said = self._said = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({self._task, said}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not said.done():
                await self.end()
            raise
        return said.result() if said.done() else self._task.result()

    async def end(self) -> None:
        """Cancel the program and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            # It goes on to its end if whoever waits here is cancelled again.
            await asyncio.shield(asyncio.wait({self._task}))


def _noted(task: asyncio.Task[Reply]) -> None:
    """Look at how it ended: where no request waits, nobody else does."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("programs.ended_unattended", error=type(error).__name__)
