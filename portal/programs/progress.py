"""Progress of a program for clients that ask for it: the latest call, never more than the client can take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Progress = Callable[[int, str], Awaitable[None]]
"""``await progress(calls_so_far, text)``."""

MIN_INTERVAL_S = 0.1


@asynccontextmanager
async def reporting(progress: Progress) -> AsyncIterator[Callable[[str], None]]:
    """Yield a function to note each call with. Notes are sent by a task of their own, so that a slow client never
    slows the program; of notes that come faster than they can be sent, the latest is. Numbers only increase.
    """
    noted = asyncio.Event()
    count = 0
    latest = ""

    def note(text: str) -> None:
        nonlocal count, latest
        count += 1
        latest = text
        noted.set()

    async def send() -> None:
        while True:
            await noted.wait()
            noted.clear()
            await progress(count, latest)
            await asyncio.sleep(MIN_INTERVAL_S)

    task = asyncio.create_task(send(), name="progress")
    try:
        yield note
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):  # the client went away: nobody to tell
            await task
