"""Progress of a program for clients that ask for it: which calls are in flight, what is printed, that it still runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext

from portal.programs.brief import quoted

Progress = Callable[[int, str], Awaitable[None]]
"""``await progress(number, text)``; each number is larger than the one before."""

MIN_INTERVAL_S = 0.1
HEARTBEAT_S = 10.0
"""How long nothing may be said of a program that still runs: clients count their patience from the last word."""

MAX_SHOWN = 4
MAX_PRINTED_CHARS = 1_000

_UNHEARD = nullcontext()


class Report:
    """What there is to say of a running program. Noting never waits, and keeps a bounded amount."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._running: Counter[str] = Counter()
        self._begun = 0
        self._printed = ""
        self._dropped = False

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Note that a call begins and, on leaving, that it has ended."""
        self._begun += 1
        self._running[name] += 1
        self.news.set()
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]
            self.news.set()

    def printed(self, text: str) -> None:
        """Note what the program prints; of what comes faster than it can be sent, the last is kept."""
        kept = self._printed + text
        self._dropped = self._dropped or len(kept) > MAX_PRINTED_CHARS
        self._printed = kept[-MAX_PRINTED_CHARS:]
        self.news.set()

    def text(self) -> str:
        """Return what there is to say, and forget what was printed: it is said now."""
        running = self._running.most_common()
        parts = [f"{self._begun - self._running.total()}/{self._begun} calls"] if self._begun else ["running"]
        shown = [name if n == 1 else f"{name} \N{MULTIPLICATION SIGN} {n}" for name, n in running[:MAX_SHOWN]]
        if shown:
            parts.append(", ".join(shown) + (", …" if len(running) > MAX_SHOWN else ""))
        said, dropped, self._printed, self._dropped = self._printed, self._dropped, "", False
        lines = [" · ".join(parts)]
        if said:
            lines.append("  | " + quoted(("…" if dropped else "") + said.rstrip("\n"), MAX_PRINTED_CHARS + 1))
        return "\n".join(lines)


class Audience:
    """Whoever asked to hear of one program: at first, and again each time that a request goes on with it.

    Each request that asked hears of what is noted from then on, in numbers that only increase. What is noted while
    nobody listens is forgotten, and costs next to nothing. News are sent by a task of its own, so that a slow client
    never slows the program: of those that come faster than they can be sent, the sum is.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._first = progress
        self._report: Report | None = None
        self._sending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Tell whoever asked of what is noted inside. Once this is left, nothing more is sent."""
        self.come(self._first)
        try:
            yield
        finally:
            sending = self._sending
            self.leave()
            if sending is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await sending

    def come(self, progress: Progress | None) -> None:
        """Tell ``progress`` from now on, and nobody else."""
        self.leave()
        if progress is not None:
            self._report = Report()
            self._sending = asyncio.create_task(_send(self._report, progress), name="progress")

    def leave(self) -> None:
        """Tell nobody from now on."""
        if self._sending is not None:
            self._sending.cancel()
        self._report = self._sending = None

    def call(self, name: str) -> AbstractContextManager[None]:
        """Note that a call begins and, on leaving, that it has ended."""
        return _UNHEARD if self._report is None else self._report.call(name)

    def printed(self, text: str) -> None:
        """Note what the program prints."""
        if self._report is not None:
            self._report.printed(text)


async def _send(report: Report, progress: Progress) -> None:
    number = 0
    with contextlib.suppress(Exception):  # the client went away: nobody to tell
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await report.news.wait()
            report.news.clear()
            number += 1
            await progress(number, report.text())
            await asyncio.sleep(MIN_INTERVAL_S)
