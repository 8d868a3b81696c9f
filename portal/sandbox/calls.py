"""The calls of one program: counted, bounded, judged by shape, dispatched, and all settled before the program ends."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from portal.sandbox.budget import Budget, NotJson, OverBudget, decoded
from portal.sandbox.contract import (
    Again,
    CallFailed,
    CallPaused,
    CallRevoked,
    Dispatch,
    Function,
    Json,
    Limits,
    Module,
    PendingCall,
)
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
class Waits:
    """A call that is not made before a person has acted on ``need``."""

    call: Prepared
    need: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to: a JSON value, an exception to raise in the program, or no answer yet."""

    value: Json = None
    error: str = ""
    message: str = ""
    waits: Waits | None = None


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
        self._running: dict[int, asyncio.Future[Answer]] = {}
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

    def start_again(self, call: PendingCall, again: Again) -> None:
        """Begin a call that was paused: ``again`` answers it. Raises ProtocolError."""

        async def dispatch(_module: str, _function: str, _arguments: dict[str, Json]) -> Json:
            return await again(call)

        prepared = Prepared(call.module, call.function, call.arguments, call.size_bytes)
        self._begin(call.id, self.make(prepared, dispatch))

    def ask_again(self, waiting: Sequence[PendingCall], again: Again) -> None:
        """Begin calls anew that have waited here: ``again`` answers them."""
        for call in waiting:
            del self._running[call.id]
            self._waiting_bytes -= call.size_bytes
            self.start_again(call, again)

    def hold(self, call_id: int, answer: Answer) -> None:
        """Keep the answer of a call that the program did not expect to wait for. Raises ProtocolError."""
        held: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        held.set_result(answer)
        self._keep(call_id, held)

    def pending(self) -> list[PendingCall]:
        """Return the calls that wait for a person. Raises ProtocolError when any other call is still in flight."""
        if not all(map(_waits, self._running.values())):
            raise ProtocolError("the program waits for less than it has begun")
        return self.waiting()

    def waiting(self) -> list[PendingCall]:
        """Return the calls that wait for a person, whatever else is in flight."""
        live = {call_id: call for call_id, call in self._running.items() if _waits(call)}
        waiting = [(call_id, call.result().waits) for call_id, call in live.items()]
        return [
            PendingCall(
                *(call_id, waits.call.module, waits.call.function, waits.call.arguments, waits.need),
                size_bytes=waits.call.bytes,
            )
            for call_id, waits in waiting
            if waits is not None
        ]

    def sleep(self, call_id: int, duration_s: float) -> None:
        """Begin a wait that ends as a call does. Raises ProtocolError."""
        self._begin(call_id, _sleep(duration_s))

    async def make(self, prepared: Prepared, dispatch: Dispatch | None = None) -> Answer:
        """Make a call and return its answer. CallRevoked is noted in ``revoked``."""
        dispatch = dispatch or self._dispatch
        self._waiting_bytes += prepared.bytes
        try:
            async with self._in_flight:
                answer = Answer(await dispatch(prepared.module, prepared.function, prepared.arguments))
        except CallFailed as failed:
            answer = Answer(error=failed.error, message=failed.message)
        except CallPaused as paused:
            # Its arguments are kept as long as it waits, and go on being counted.
            return Answer(waits=Waits(prepared, paused.need))
        except CallRevoked as revoked:
            if not self.revoked.done():
                self.revoked.set_result(revoked)
            answer = Answer(error="RuntimeError", message="stopped")
        except BaseException:
            self._waiting_bytes -= prepared.bytes
            raise
        self._waiting_bytes -= prepared.bytes
        return answer

    async def settled(self, wanted: Sequence[int]) -> list[tuple[int, Answer]]:
        """Wait until at least one of the wanted calls is answered or the program is revoked; return what is answered:
        nothing when everything that the program still waits for waits for a person.

        Raises BadCall for a call that was never begun, and whatever a Dispatch raised that it must not raise.
        """
        tasks = {call_id: self._running[call_id] for call_id in wanted if call_id in self._running}
        if len(tasks) != len(set(wanted)) or not tasks:
            raise BadCall("RuntimeError", "the program waits for a call that it never made")
        while True:
            live = {call_id: task for call_id, task in tasks.items() if not _waits(task)}
            if not live:
                return []
            either: list[asyncio.Future[Any]] = [*live.values(), self.revoked]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            done = [(call_id, task.result()) for call_id, task in live.items() if task.done() and not _waits(task)]
            for call_id, _ in done:
                del self._running[call_id]
            if done or self.revoked.done():
                return done

    def _begin(self, call_id: int, work: Coroutine[Any, Any, Answer]) -> None:
        self._keep(call_id, asyncio.create_task(work))

    def _keep(self, call_id: int, call: asyncio.Future[Answer]) -> None:
        if call_id in self._running:
            call.cancel()
            # The first of the two would be forgotten, and outlive its program.
            raise ProtocolError("two calls of one number")
        self._running[call_id] = call

    async def end(self) -> None:
        """Cancel what still runs and wait for it: nothing of a program outlives it."""
        running = list(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
        self.revoked.cancel()


def _waits(call: asyncio.Future[Answer]) -> bool:
    return call.done() and not call.cancelled() and call.exception() is None and call.result().waits is not None


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
