"""The calls of one program: counted, bounded, judged by shape, dispatched, and all settled before the program ends."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from portal.sandbox.budget import Budget, NotJson, OverBudget, decoded
from portal.sandbox.contract import CallFailed, CallRevoked, Dispatch, Function, Json, Limits, Module
from portal.sandbox.decode import Arena
from portal.sandbox.events import CallEvent
from portal.sandbox.helpers import FUNCTIONS, HOST
from portal.sandbox.wire import ProtocolError

WAITING_ARGUMENTS = 16
"""How many times ``argument_bytes`` the arguments of all unfinished calls may hold together."""


MAX_NAME_CHARS = 60
MAX_LISTED = 30


class BadCall(Exception):
    """The call cannot be made like this. The program sees the Python exception ``error``."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


class TooManyCalls(Exception):
    """The program has made all the calls it may make."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call whose arguments are plain, bounded JSON."""

    module: str
    function: str
    arguments: dict[str, Json]
    bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: a JSON value, or an exception to raise in the program."""

    value: Json = None
    error: str = ""
    message: str = ""


class Calls:
    """One program's calls. ``made`` counts those that were attempted."""

    def __init__(self, modules: Sequence[Module], dispatch: Dispatch, limits: Limits) -> None:
        self._functions = {
            f"{module.name}.{function.name}": (module.name, function)
            for module in modules
            for function in module.functions
        } | {function.name: (HOST, function) for function in FUNCTIONS}
        self._dispatch = dispatch
        self._limits = limits
        self._in_flight = asyncio.Semaphore(limits.in_flight)
        self._running: dict[int, asyncio.Task[Answer]] = {}
        self._waiting_bytes = 0
        self.made = 0
        self.revoked: asyncio.Future[CallRevoked] = asyncio.get_running_loop().create_future()

    async def prepare(self, call: CallEvent) -> Prepared:
        """Judge a call and decode its arguments. Raises BadCall, TooManyCalls, ProtocolError."""
        self.made += 1
        if self.made > self._limits.calls:
            raise TooManyCalls
        found = self._functions.get(call.function)
        if found is None:
            raise BadCall("NameError", f"name '{call.function[:MAX_NAME_CHARS]}' is not defined")
        module, function = found
        # What is saved is a result, in size and in what becomes text.
        strict = module != HOST
        name = function.name if strict else function.name.strip("_")
        most_bytes = self._limits.argument_bytes if strict else self._limits.result_bytes
        budget = Budget(self._limits.nodes, most_bytes, self._limits.depth, "argument_bytes")
        try:
            arguments, spent_bytes = await decoded(lambda within: _arguments(call, function, within, strict), budget)
        except OverBudget as error:
            raise BadCall(
                "ValueError",
                f"{name}(): the arguments of one call may hold at most {error.allowed:,} {_UNITS[error.limit]}",
            ) from None
        except NotJson as error:
            raise BadCall("TypeError", f"{function.name}(): {error}") from None
        # Waiting calls hold their arguments here; one large string in the worker could fill our memory 500 times over.
        if self._waiting_bytes + spent_bytes > WAITING_ARGUMENTS * self._limits.argument_bytes:
            raise BadCall("ValueError", "the calls in flight hold too much; await the earlier ones first")
        return Prepared(module, function.name, arguments, spent_bytes)

    def start(self, call_id: int, prepared: Prepared) -> None:
        """Begin a call whose result is asked for later. Raises ProtocolError."""
        self._begin(call_id, self.make(prepared))

    def sleep(self, call_id: int, duration_s: float) -> None:
        """Begin a wait that ends as a call does. Raises ProtocolError."""
        self._begin(call_id, _sleep(duration_s))

    async def make(self, prepared: Prepared) -> Answer:
        """Make a call and return its answer. CallRevoked is noted in ``revoked`` and raised."""
        self._waiting_bytes += prepared.bytes
        try:
            async with self._in_flight:
                return Answer(await self._dispatch(prepared.module, prepared.function, prepared.arguments))
        except CallFailed as failed:
            return Answer(error=failed.error, message=failed.message)
        except CallRevoked as revoked:
            if not self.revoked.done():
                self.revoked.set_result(revoked)
            return Answer(error="RuntimeError", message="stopped")
        finally:
            self._waiting_bytes -= prepared.bytes

    async def settled(self, wanted: Sequence[int]) -> list[tuple[int, Answer]]:
        """Wait until at least one of the wanted calls is answered or the program is revoked; return what is answered.

        Raises BadCall for a call that was never begun, and whatever a Dispatch raised that it must not raise.
        """
        tasks = {call_id: self._running.get(call_id) for call_id in wanted}
        waiting = [task for task in tasks.values() if task is not None]
        if len(waiting) != len(tasks) or not waiting:
            raise BadCall("RuntimeError", "the program waits for a call that it never made")
        either: list[asyncio.Future[Any]] = [*waiting, self.revoked]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        done = [(call_id, task.result()) for call_id, task in tasks.items() if task is not None and task.done()]
        for call_id, _ in done:
            del self._running[call_id]
        return done

    def _begin(self, call_id: int, work: Coroutine[Any, Any, Answer]) -> None:
        if call_id in self._running:
            work.close()
            # The first of the two would be forgotten, and outlive its program.
            raise ProtocolError("two calls of one number")
        self._running[call_id] = asyncio.create_task(work)

    async def end(self) -> None:
        """Cancel what still runs and wait for it: nothing of a program outlives it."""
        running = list(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
        self.revoked.cancel()


_UNITS = {"argument_bytes": "bytes", "nodes": "values", "depth": "levels of nesting"}


def _arguments(call: CallEvent, function: Function, budget: Budget, strict: bool) -> dict[str, Json]:
    if len(call.args) > len(function.parameters):
        raise BadCall(
            "TypeError",
            f"{function.name}() takes {len(function.parameters)} positional arguments but {len(call.args)} were given",
        )
    arena = Arena(call.arena, max_nodes=budget.nodes)
    out: dict[str, Json] = {}
    for name, node in zip(function.parameters, call.args, strict=False):
        out[name] = arena.value(node, budget, strict=strict)
    for key, node in call.kwargs:
        name = arena.value(key, budget, strict=True)
        if name not in function.parameters:
            raise BadCall("TypeError", _no_parameter(function, str(name)))
        if name in out:
            raise BadCall("TypeError", f"{function.name}() got multiple values for argument '{name}'")
        out[name] = arena.value(node, budget, strict=strict)
    return out


def _no_parameter(function: Function, name: str) -> str:
    close = difflib.get_close_matches(name[:MAX_NAME_CHARS], function.parameters, n=1)
    names = function.parameters[:MAX_LISTED]
    known = ", ".join(names) + (", …" if len(names) < len(function.parameters) else "")
    return (
        f"{function.name}() has no parameter {name[:MAX_NAME_CHARS]!a}"
        + (f"; did you mean '{close[0]}'?" if close else ".")
        + f" Its parameters are: {known or 'none'}"
    )


async def _sleep(duration_s: float) -> Answer:
    await asyncio.sleep(duration_s)
    return Answer()
