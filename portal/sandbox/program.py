"""One program's run: the conversation with its worker, from the first request to the outcome.

Whatever way it ends, no call is left running. ``clean`` tells the pool whether the worker may serve again: only after a
program that ended by itself, within every limit and protocol rule.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from portal.sandbox import events, failures, requests
from portal.sandbox.budget import Budget, OverBudget, decoded
from portal.sandbox.calls import Answer, BadCall, Calls, TooManyCalls
from portal.sandbox.contract import (
    Again,
    CallRevoked,
    Dispatch,
    Failure,
    Holding,
    Json,
    Limits,
    Module,
    Outcome,
    Pause,
    PendingCall,
    Printed,
    SandboxUnavailable,
)
from portal.sandbox.decode import Arena
from portal.sandbox.encode import Nodes, is_small
from portal.sandbox.events import Event, Kind, System
from portal.sandbox.helpers import HOST
from portal.sandbox.snapshot import Snapshot
from portal.sandbox.wire import ProtocolError
from portal.sandbox.worker import FrameTooLarge, Worker, WorkerDied

CPU_GRACE_S = 1.0
"""How long past its processor time a worker may take to stop by itself before it is killed."""

_FRAME_OVERHEAD_BYTES = 65_536
_NODE_BYTES = 16
_PRINTS_A_TURN = 100
_FIRST_FEED = "<python-input-0>"
"""What a worker calls the prelude, where there is one; the program is then the second."""

_MEMORY_EXIT = 65
"""How a worker ends when it reaches the hard ceiling above its memory limit (measured, runtime 1.4.0)."""


class _Ended(Exception):
    """The program is over; the worker is not to be used again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Program:
    """A program on a worker that nobody else uses."""

    def __init__(
        self,
        worker: Worker,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None = None,
        *,
        prelude: str = "",
        holding: Holding | None = None,
    ) -> None:
        """``prelude`` is run before the program, in a text of its own; no frame of it is ever shown. With ``holding``
        the program waits for a person on its worker, which has no snapshot to give.
        """
        self._worker = worker
        self._code = code
        self._modules = {module.name: module for module in modules}
        self._calls = Calls(modules, dispatch, limits)
        self._limits = limits
        self._max_suspensions = limits.calls * 4 + 1_000
        self._suspensions = 0
        self._printed: list[str] = []
        self._tell = printed
        self._printed_left = limits.print_bytes
        self._cut = False
        self._prints = 0
        self._cpu_us = 0
        self._overdue = False
        self._prelude = prelude
        self._holding = holding
        self._died = False
        self._clock: asyncio.Timeout | None = None
        self._begun_s = asyncio.get_running_loop().time()
        self.clean = False
        # A program whose person was revoked ends in mid-computation, not at its next call.
        self._calls.revoked.add_done_callback(self._stop)

    async def run(self) -> Outcome:
        """Return how the program ended. Raises SandboxUnavailable when the worker broke its protocol."""
        return await self._bounded(self._run())

    async def resume(self, pause: Pause, again: Again) -> Outcome:
        """Go on where ``pause`` stopped, and return how the program ended. Raises SandboxUnavailable."""
        snapshot = Snapshot.of(pause.snapshot)
        self._calls.made = snapshot.calls
        self._suspensions = snapshot.suspensions
        self._cpu_us = snapshot.cpu_us
        self._begun_s -= snapshot.wall_s
        self._print_text(snapshot.printed)
        self._cut = snapshot.cut
        return await self._bounded(self._load(snapshot.state, pause.pending, again))

    async def _bounded(self, conversation: Coroutine[Any, Any, Outcome]) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._wall_s) as timer:
                self._clock = timer
                with self._worker.watched(self._gone):
                    return await conversation
        except TimeoutError:
            if self._died or loop.time() < self._wall_s:
                # The worker died while it waited for a call: the call is not worth waiting for any more.
                return self._outcome(await self._death("the worker process died"))
            return self._outcome(failures.over_limit("wall_s", self._limits))
        except _Ended as ended:
            return self._outcome(ended.failure)
        except ProtocolError as error:
            raise SandboxUnavailable(f"a worker broke its protocol: {error}") from error
        finally:
            if not self.clean:
                self._worker.kill()
            await self._calls.end()

    def _gone(self) -> None:
        self._died = True
        if self._clock is not None:
            self._clock.reschedule(asyncio.get_running_loop().time())

    @property
    def _wall_s(self) -> float:
        """When the program's time is up."""
        return self._begun_s + self._limits.wall_s

    async def _run(self) -> Outcome:
        limits = self._limits
        opened = requests.configure(
            cpu_s=limits.cpu_s,
            memory_bytes=limits.memory_bytes,
            recursion=limits.recursion,
            suspensions=self._max_suspensions,
        )
        # In one write with what follows: the worker reads on while nobody waits for its answer to the first.
        first, owed = [opened], 1
        if self._prelude:
            prepared = await self._turn(opened, requests.feed(self._prelude), owed=1)
            if prepared.kind is not Kind.COMPLETE:
                raise ProtocolError("a worker that cannot run our own prelude")
            first, owed = [], 0
        return await self._converse(await self._turn(*first, requests.feed(self._code), owed=owed))

    async def _load(self, state: bytes, pending: Sequence[PendingCall], again: Again) -> Outcome:
        # Loaded before any call is made: a snapshot that does not load must not have done anything.
        event = await self._turn(requests.load(state))
        if event.kind is not Kind.FUTURES:
            raise ProtocolError("a snapshot that waits for no call")
        for call in pending:
            self._calls.start_again(call, again)
        return await self._converse(event)

    async def _converse(self, event: Event) -> Outcome:
        limits = self._limits
        while event.kind not in {Kind.COMPLETE, Kind.ERROR}:
            self._suspensions += 1
            if self._suspensions > self._max_suspensions:
                raise _Ended(failures.over_limit("calls", limits))
            request = await self._answer(event)
            while not request:
                if self._holding is None:
                    return await self._pause()
                await self._hold(self._holding)
                request = await self._answer(event)
            event = await self._turn(request)
        if event.kind is Kind.ERROR:
            found = events.error(event.body)
            if self._prelude:
                found = replace(found, frames=tuple(f for f in found.frames if f.filename != _FIRST_FEED))
            if not found.frames and found.message.startswith("protocol violation"):
                # The worker did not understand us: a program cannot raise without a frame of its own.
                raise ProtocolError(found.message[:300])
            failure = failures.from_error(
                found, self._code, limits, called=self._calls.made > 0, known=list(self._modules)
            )
            # A limit stops the interpreter in mid-operation: its memory is in no known state any more.
            self.clean = failure.kind != "limit"
            return self._outcome(failure)
        value = await self._value(event)
        self.clean = True
        return Outcome(value, self._text(), None, self._cpu_us / 1_000)

    async def _hold(self, holding: Holding) -> None:
        """Wait until the calls that a person has to act on can be answered, and ask them anew. No time goes by."""
        loop, clock, waiting = asyncio.get_running_loop(), self._clock, tuple(self._calls.waiting())
        since_s = loop.time()
        if clock is not None and not self._died:
            clock.reschedule(None)
        try:
            again = await holding.hold(waiting)
        except CallRevoked as revoked:
            raise _Ended(_revoked(revoked)) from None
        self._begun_s += loop.time() - since_s
        if clock is not None and not self._died:
            clock.reschedule(self._wall_s)
        self._calls.ask_again(waiting, again)

    async def _pause(self) -> Outcome:
        """Take a snapshot of the program, all of which waits for a person, and let go of the worker."""
        limits, pending = self._limits, tuple(self._calls.pending())
        event = await self._turn(requests.DUMP, max_bytes=limits.snapshot_bytes + _FRAME_OVERHEAD_BYTES)
        if event.kind is not Kind.DUMP:
            raise ProtocolError("no snapshot where one was asked for")
        snapshot = Snapshot(
            state=events.dump(event.body),
            calls=self._calls.made,
            suspensions=self._suspensions,
            cpu_us=self._cpu_us,
            wall_s=asyncio.get_running_loop().time() - self._begun_s,
            printed="".join(self._printed),
            cut=self._cut,
        )
        if len(snapshot.state) + sum(call.size_bytes for call in pending) > limits.snapshot_bytes:
            raise _Ended(failures.over_limit("snapshot_bytes", limits))
        self.clean = True
        return Outcome(None, self._text(), None, self._cpu_us / 1_000, pause=Pause(snapshot.to_bytes(), pending))

    async def _turn(self, *said: bytes, owed: int = 0, max_bytes: int = 0) -> Event:
        """Send requests and return the event that ends the worker's turn, collecting what is printed meanwhile.

        ``owed`` events answer earlier requests and are passed over.
        """
        worker, limits = self._worker, self._limits
        largest = max(limits.result_bytes, limits.argument_bytes, limits.print_bytes)
        dumping = bool(max_bytes)
        max_bytes = max_bytes or 2 * largest + _NODE_BYTES * limits.nodes + _FRAME_OVERHEAD_BYTES
        deadline_s = limits.cpu_s - self._cpu_us / 1_000_000 + CPU_GRACE_S
        worker.send(*said)
        timer = asyncio.get_running_loop().call_later(deadline_s, self._overrun)
        try:
            while True:
                event = await worker.receive(max_bytes)
                if event.kind is Kind.PRINT:
                    self._print(event)
                    self._prints += 1
                    if self._prints % _PRINTS_A_TURN == 0:
                        # What has arrived is read without waiting: a flood must not keep the loop from everybody else.
                        await asyncio.sleep(0)
                elif owed and event.kind is Kind.OK:
                    owed -= 1
                else:
                    break
        except FrameTooLarge as error:
            # What a frame claims to be is the worker's word: only a snapshot that was asked for is one.
            other = "snapshot_bytes" if dumping else "result_bytes"
            limit = "argument_bytes" if error.kind == Kind.CALL else other
            raise _Ended(failures.over_limit(limit, limits)) from None
        except WorkerDied as error:
            raise _Ended(await self._death(error.reason)) from None
        finally:
            timer.cancel()
        # No more than it can have had: on CPython it is the program that says so.
        self._cpu_us = min(max(self._cpu_us, event.cpu_us), int((limits.cpu_s + CPU_GRACE_S) * 1_000_000))
        if self._calls.revoked.done():
            raise _Ended(_revoked(self._calls.revoked.result()))
        return event

    def _overrun(self) -> None:
        self._overdue = True
        self._worker.kill()

    async def _death(self, reason: str) -> Failure:
        if self._calls.revoked.done():
            return _revoked(self._calls.revoked.result())
        if self._overdue:
            return failures.over_limit("cpu_s", self._limits)
        await self._worker.close()
        if self._worker.exit_status() == _MEMORY_EXIT:
            return failures.over_limit("memory_bytes", self._limits)
        return Failure("crashed", f"{reason}; nothing else is affected, the program can be run again")

    async def _answer(self, event: Event) -> bytes:
        """Return the request that answers a suspension, b"" when a person has to act first."""
        if event.kind is Kind.CALL:
            return await self._call(self._arguments(event))
        if event.kind is Kind.NAME:
            return requests.UNDEFINED_NAME
        if event.kind is Kind.FUTURES:
            return await self._futures(events.futures(event.body, self._max_suspensions))
        if event.kind is Kind.SYSTEM:
            return await self._system(events.system(event.body))
        raise ProtocolError("an event that answers nothing")

    def _arguments(self, event: Event) -> events.CallEvent:
        try:
            return events.call(event.body)
        except OverBudget as error:
            message = f"limit {error.limit}: more than {error.allowed:,} arguments in one call"
            raise _Ended(Failure("limit", message, limit=error.limit)) from None

    async def _call(self, call: events.CallEvent) -> bytes:
        try:
            prepared = await self._calls.prepare(call)
        except BadCall as bad:
            return requests.resume(call.call_id, requests.error_result(bad.error, bad.message))
        except TooManyCalls:
            raise _Ended(failures.over_limit("calls", self._limits)) from None
        if call.eager:
            answer = await self._calls.make(prepared)
            self._check_revoked()
            if answer.waits is not None:
                self._calls.hold(call.call_id, answer)
                return requests.later(call.call_id)
            return await _settle([(call.call_id, answer)])
        if prepared.module == HOST:
            # A plain function: the program goes on with its value.
            answer = await self._calls.make(prepared)
            self._check_revoked()
            return await _resume(call.call_id, answer)
        self._calls.start(call.call_id, prepared)
        # One turn of the loop, so that a call begins before the program goes on without it.
        await asyncio.sleep(0)
        self._check_revoked()
        return requests.later(call.call_id)

    async def _futures(self, wanted: list[int]) -> bytes:
        try:
            done = await self._calls.settled(wanted)
        except BadCall as bad:
            raise ProtocolError(bad.message) from None
        self._check_revoked()
        return await _settle(done) if done else b""

    async def _system(self, call: events.SystemEvent) -> bytes:
        if call.operation == System.IMPORT:
            return self._import(call)
        if call.operation in {System.SLEEP, System.ASYNC_SLEEP}:
            # A program may wait for as long as it may run.
            duration_s = min(events.seconds(call.body), self._limits.wall_s)
            if call.operation == System.ASYNC_SLEEP and not call.eager:
                self._calls.sleep(call.call_id, duration_s)
                return requests.later(call.call_id)
            await asyncio.wait([self._calls.revoked], timeout=duration_s)
            self._check_revoked()
            if call.eager:
                return await _settle([(call.call_id, Answer())])
            nodes = Nodes()
            return requests.resume(call.call_id, requests.value_result(None, nodes), nodes)
        return requests.not_handled(call.call_id)

    def _import(self, call: events.SystemEvent) -> bytes:
        names = events.names(call.body)
        module = self._modules.get(names[0]) if names else None
        if module is None:
            return requests.unknown_module(call.call_id)
        identity = hashlib.blake2b(module.name.encode(), digest_size=16).digest()
        result, nodes = requests.module_result(module.name, identity, [f.name for f in module.functions])
        return requests.resume(call.call_id, result, nodes)

    def _stop(self, revoked: asyncio.Future[CallRevoked]) -> None:
        if not revoked.cancelled():
            self._worker.kill()

    def _check_revoked(self) -> None:
        if self._calls.revoked.done():
            raise _Ended(_revoked(self._calls.revoked.result()))

    async def _value(self, event: Event) -> object:
        limits = self._limits
        root, arena = events.complete(event.body)
        budget = Budget(limits.nodes, limits.result_bytes, limits.depth, "result_bytes")

        try:
            value, _ = await decoded(
                lambda within: Arena(arena, max_nodes=within.nodes).value(root, within, strict=False), budget
            )
            return value
        except OverBudget as error:
            raise _Ended(failures.over_budget(error, limits)) from None

    def _print(self, event: Event) -> None:
        for text in events.printed(event.body):
            if not self._printed_left:
                # What is not kept is not even looked at.
                self._cut = self._cut or bool(text)
                break
            kept = self._print_text(text)
            if kept and self._tell is not None:
                self._tell(kept)

    def _print_text(self, text: str) -> str:
        """Keep what there is room for, and return it."""
        # A character is at most four bytes: the cheap test decides all but the last piece.
        if 4 * len(text) > self._printed_left:
            kept = text[: self._printed_left].encode()[: self._printed_left].decode("utf-8", "ignore")
            self._cut = self._cut or len(kept) < len(text)
            text = kept
        self._printed_left -= len(text.encode())
        if text:
            self._printed.append(text)
        return text

    def _text(self) -> str:
        printed = "".join(self._printed)
        return f"{printed}\n… (print is cut at {self._limits.print_bytes:,} bytes)" if self._cut else printed

    def _outcome(self, failure: Failure) -> Outcome:
        return Outcome(None, self._text(), failure, self._cpu_us / 1_000)


def _revoked(revoked: CallRevoked) -> Failure:
    return Failure("limit", revoked.message, limit=revoked.limit)


async def _resume(call_id: int, answer: Answer) -> bytes:
    if answer.error:
        return requests.resume(call_id, requests.error_result(answer.error, answer.message))
    if is_small(answer.value):
        return _encode_one(call_id, answer.value)
    return await asyncio.to_thread(_encode_one, call_id, answer.value)


def _encode_one(call_id: int, value: Json) -> bytes:
    nodes = Nodes()
    result = requests.value_result(value, nodes)
    return requests.resume(call_id, result, nodes)


async def _settle(answers: Sequence[tuple[int, Answer]]) -> bytes:
    if all(is_small(answer.value) for _, answer in answers):
        return _encode(answers)
    return await asyncio.to_thread(_encode, answers)


def _encode(answers: Sequence[tuple[int, Answer]]) -> bytes:
    nodes = Nodes()
    results: list[tuple[int, bytes]] = []
    for call_id, answer in answers:
        if answer.error:
            results.append((call_id, requests.error_result(answer.error, answer.message)))
            continue
        try:
            results.append((call_id, requests.value_result(answer.value, nodes)))
        except TypeError:
            results.append(
                (call_id, requests.error_result("RuntimeError", "the call returned a value that is not JSON"))
            )
    return requests.settled(results, nodes)
