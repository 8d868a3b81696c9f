"""Warm workers: handed out in microseconds, replaced in the background, never more than the bound at once.

A worker is used by one program at a time, at most ``uses`` times, and only while it is beyond doubt. Whatever goes
wrong with one costs the next program nothing: its replacement is started before anybody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from portal.sandbox.contract import SandboxUnavailable
from portal.sandbox.worker import Worker

IDLE_S = 60.0
"""How long a worker above the warm minimum may stay idle while others are being used."""

RESPITE_S = 0.01
"""How long the end of a worker that has served, and its replacement while another is ready, wait: the reply has the
processors first. To end a process and to start one takes longer than most programs.
"""

RESET_S = 5.0
"""How long a worker may take to forget a program before it is replaced."""

_log = structlog.get_logger(__name__)


class Lease:
    """A worker in use. Set ``clean`` when it may serve again."""

    __slots__ = ("clean", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.clean = False


class Pool:
    """Workers of one kind. ``start`` starts one; ``reset`` makes each forget a program before it serves the next."""

    def __init__(
        self,
        start: Callable[[], Coroutine[Any, Any, Worker]],
        *,
        warm: int,
        most: int,
        uses: int,
        wait_s: float,
        reset: bool,
    ) -> None:
        self._start = start
        self._reset = reset
        self._warm = min(warm, most)
        self._uses = uses
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(most)
        self._idle: deque[Worker] = deque()
        self._busy = 0
        self._resetting = 0
        self._returned = asyncio.Event()
        self._starting = 0
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Start the warm workers. Raises SandboxUnavailable, leaving none behind."""
        starts = [asyncio.ensure_future(self._start()) for _ in range(self._warm)]
        for start in starts:
            self._chore(self._keep(start))
        try:
            await asyncio.shield(asyncio.gather(*starts, return_exceptions=True))
        except asyncio.CancelledError:
            await self.close()
            raise
        for start in starts:
            problem = start.exception()
            if problem is not None:
                await self.close()
                raise problem
        while self._chores:
            await asyncio.gather(*self._chores)

    async def close(self) -> None:
        """Kill every idle worker and wait for all chores. Leases must have ended."""
        self._closed = True
        while self._chores:
            await asyncio.gather(*self._chores, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._idle))
        self._idle.clear()

    @property
    def idle(self) -> int:
        """How many workers wait for a program."""
        return len(self._idle)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Yield a worker that nobody else uses. Raises SandboxUnavailable when none is free in time."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        self._busy += 1
        lease: Lease | None = None
        try:
            lease = Lease(await self._take())
            yield lease
        finally:
            self._busy -= 1
            self._slots.release()
            if lease is not None:
                self._give_back(lease)

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._slots.acquire(), self._wait_s)
        except TimeoutError:
            raise SandboxUnavailable(
                f"every sandbox worker was busy for {self._wait_s:g} s; try again, or raise sandbox.max_workers"
            ) from None

    async def _take(self) -> Worker:
        if self._closed:
            raise SandboxUnavailable("the sandbox is closed")
        while self._idle or self._resetting:
            if not self._idle:
                # One that is about to be free is sooner ready than a new one.
                self._returned.clear()
                await self._returned.wait()
                continue
            # The last one in is the one whose memory is still in the processor's caches.
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._discard(worker)
        starting = asyncio.ensure_future(self._start())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The program is gone before its worker was ready: the next one gets it.
            self._chore(self._keep(starting))
            raise

    def _give_back(self, lease: Lease) -> None:
        worker = lease.worker
        worker.rest()
        if not lease.clean or not worker.alive or self._closed:
            self._discard(worker)
        elif worker.uses >= self._uses:
            # Its program has ended as it should, and nobody listens to it any more.
            self._discard(worker, respite_s=RESPITE_S)
        elif self._reset:
            # Nobody waits for it: the program's outcome is on its way already.
            self._resetting += 1
            self._chore(self._forget(worker))
        else:
            self._idle.append(worker)
        oldest = self._idle[0] if len(self._idle) > self._warm else None
        if oldest is not None and time.monotonic() - oldest.idle_since_s > IDLE_S:
            self._discard(self._idle.popleft())

    def _discard(self, worker: Worker, *, respite_s: float = 0.0) -> None:
        if not respite_s:
            worker.kill()
        self._chore(_close(worker, respite_s))
        missing = self._warm - len(self._idle) - self._busy - self._resetting - self._starting
        if not self._closed and missing > 0:
            self._starting += 1
            self._chore(self._replace())

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _forget(self, worker: Worker) -> None:
        try:
            usable = await asyncio.wait_for(worker.reset(), RESET_S)
        except TimeoutError:
            usable = False
        self._resetting -= 1
        self._returned.set()
        if usable and not self._closed:
            self._idle.append(worker)
        else:
            self._discard(worker)

    async def _replace(self) -> None:
        try:
            if self._idle:
                # The program that used the last one up is being answered: let it have the processors first.
                await asyncio.sleep(RESPITE_S)
            await self._keep(asyncio.ensure_future(self._start()))
        finally:
            self._starting -= 1

    async def _keep(self, starting: asyncio.Future[Worker]) -> None:
        """Wait for a worker that nobody holds, and put it with the idle ones."""
        try:
            worker = await starting
        except SandboxUnavailable as error:
            # The next program tries for itself, and is told.
            _log.warning("sandbox_worker_not_started", reason=str(error))
            return
        if self._closed:
            await worker.close()
        else:
            self._idle.append(worker)


async def _close(worker: Worker, respite_s: float) -> None:
    await asyncio.sleep(respite_s)
    with contextlib.suppress(OSError):
        await worker.close()
