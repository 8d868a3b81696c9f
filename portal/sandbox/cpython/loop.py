"""asyncio without sockets, threads or files: whatever the program waits for, it waits for the portal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from portal.sandbox.cpython.line import Line

LOCAL_SLEEP_S = 0.02
"""Shorter waits are not worth the portal's attention."""

UNSEEN_S = 0.5
"""So much short waiting goes by before the portal hears of it, lest it take waiting for computing."""

_FOR_EVER_S = 3_600.0


class Calls:
    """The calls in flight, whichever loop waits for them."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._sleeping = 0
        self._wakes_s = 0.0
        self._unseen_s = 0.0
        # A program's own time.sleep asks the portal.
        self._nap = time.sleep

    async def make(self, function: str, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Make a call and return its result. Raises what the portal says."""
        call_id, answer = self.line.call(function, args, kwargs)
        if not answer.later:
            if answer.error is not None:
                raise answer.error
            return answer.value
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        try:
            return await waiting
        finally:
            self._waiting.pop(call_id, None)

    def wait(self, seconds: float | None) -> None:
        """Wait for an answer, for at most ``seconds``."""
        if seconds is not None and seconds <= LOCAL_SLEEP_S and self._unseen_s < UNSEEN_S:
            self._unseen_s += seconds
            self._nap(seconds)
            return
        self._unseen_s = 0.0
        wanted = list(self._waiting)
        if seconds is None and not wanted:
            seconds = _FOR_EVER_S
        if seconds is not None:
            self._wake(seconds)
            wanted.append(self._sleeping)
        for call_id, answer in self.line.settled(wanted).items():
            if call_id == self._sleeping:
                self._sleeping = 0
            future = self._waiting.get(call_id)
            if future is None or future.done():
                continue
            if answer.error is not None:
                future.set_exception(answer.error)
            else:
                future.set_result(answer.value)

    def _wake(self, seconds: float) -> None:
        wakes_s = time.monotonic() + seconds
        if not self._sleeping or self._wakes_s > wakes_s + LOCAL_SLEEP_S:
            self._sleeping, self._wakes_s = self.line.sleep(seconds, wait=False), wakes_s


class Loop(asyncio.BaseEventLoop):
    """An event loop whose only source of events is the line to the portal."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls
        self._selector = self
        self.set_exception_handler(lambda _loop, _context: None)

    def select(self, timeout: float | None) -> list[Any]:
        """Stand in for the selector that BaseEventLoop asks."""
        if timeout is None or timeout > 0:
            self._calls.wait(timeout)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ARG002 - asyncio's signature
        """Run ``func`` now: there are no threads."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed on to who awaits
            future.set_exception(error)
        return future


class Policy(asyncio.DefaultEventLoopPolicy):
    """Gives every asyncio.run of a program a loop of ours."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop."""
        return Loop(self._calls)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run ``coroutine`` in a loop of its own; return what it returns."""
    return asyncio.run(coroutine)
