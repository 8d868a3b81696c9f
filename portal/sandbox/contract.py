"""What the rest of the portal may know of a sandbox: a program goes in, calls come out, one outcome comes back.

An implementation never raises for what a program does: that is an Outcome. It raises SandboxUnavailable when it
could not run the program at all, so that our own failure is never shown as the program's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list[Json], dict[str, Json]."""

ErrorName = Literal[
    "RuntimeError", "ValueError", "TypeError", "PermissionError", "LookupError", "TimeoutError", "OSError"
]


class SandboxUnavailable(Exception):
    """No worker could be had, or it broke its protocol. The program did not fail; we did."""


class CallFailed(Exception):
    """Raised by a Dispatch: the call did not succeed. The program sees the Python exception ``error`` with ``message``.

    ``message`` is text that we wrote; vendor text in it is quoted and capped by whoever raises.
    """

    def __init__(self, message: str, error: ErrorName = "RuntimeError") -> None:
        super().__init__(message)
        self.message = message
        self.error: ErrorName = error


class CallRevoked(BaseException):
    """Raised by a Dispatch: stop the whole program at once (budget spent, person revoked). Programs cannot catch it."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.message = message


class CallPaused(BaseException):
    """Raised by a Dispatch: this call is not made before a person has done something. Programs cannot catch it.

    ``need`` says what, in JSON; the sandbox only keeps it.
    """

    def __init__(self, need: dict[str, Json]) -> None:
        super().__init__("the call waits for a person")
        self.need = need


@dataclass(frozen=True, slots=True)
class Function:
    """One callable of a module: its Python name and its parameters in order (positional arguments are mapped)."""

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """What a program may ``import``: async functions and the stub text (.pyi) they are checked against."""

    name: str
    functions: tuple[Function, ...]
    stubs: str


Dispatch = Callable[[str, str, dict[str, Json]], Awaitable[Json]]
"""``await dispatch(module, function, arguments)`` -> JSON value. Raises CallFailed, CallRevoked or CallPaused."""


Printed = Callable[[str], None]
"""Told what a program prints, while it runs. It must return at once and never raise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound on one program. Durations in seconds, sizes in bytes."""

    wall_s: float = 60.0
    cpu_s: float = 5.0
    memory_bytes: int = 128 * 1024 * 1024
    recursion: int = 500
    source_bytes: int = 65_536
    calls: int = 500
    in_flight: int = 32
    argument_bytes: int = 1_048_576
    result_bytes: int = 4_194_304
    nodes: int = 200_000
    depth: int = 64
    print_bytes: int = 65_536
    snapshot_bytes: int = 4_194_304


FailureKind = Literal["invalid", "raised", "limit", "crashed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a program did not return: ``invalid`` (does not parse, uses what this Python lacks, or imports what does not
    exist: no call was made), ``raised``, ``limit`` (``limit`` names the Limits field, or what a CallRevoked named),
    ``crashed`` (the worker died). ``hint`` is what to write instead, as far as the sandbox knows.
    """

    kind: FailureKind
    message: str
    traceback: str = ""
    limit: str = ""
    line: int | None = None
    hint: str = ""


Engine = Literal["monty", "cpython"]


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that waits for a person; it was not made. ``id`` names it within its program, ``size_bytes`` is what its
    arguments hold.
    """

    id: int
    module: str
    function: str
    arguments: dict[str, Json]
    need: dict[str, Json]
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a program stopped: everything that it had to do until a person acts is done, and no call is in flight.

    ``snapshot`` is opaque, and came out of a worker: whoever stores it must make sure that it is never changed.
    """

    snapshot: bytes = field(repr=False)
    pending: tuple[PendingCall, ...]


Again = Callable[[PendingCall], Awaitable[Json]]
"""``await again(call)``: the answer to a call that waited. Raises what a Dispatch may raise, CallPaused again too."""


class Holding(Protocol):
    """Lets one program wait in its process, where there is no snapshot of it to take."""

    def reserve(self) -> bool:
        """Say whether the program may wait: asked when a call of it has to. Once it may, it may until it ends."""
        ...

    async def hold(self, pending: tuple[PendingCall, ...]) -> Again:
        """Wait until these calls, which are all that the program still waits for, can be answered; return by what.

        Cancelled when the worker dies. Raises CallRevoked to end the program, and whatever else ends its run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. ``value`` is JSON within Limits and never shared or cyclic; ``printed`` is capped.

    ``engine`` ran it. With ``pause`` it has not ended: it waits, and no worker is held for it.
    """

    value: Json = None
    printed: str = ""
    failure: Failure | None = None
    cpu_ms: float = 0.0
    engine: Engine = "monty"
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding of the type check. ``line`` counts from 1 in the program as submitted."""

    line: int
    message: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the jail: whether it is in force, and if not, why."""

    name: str
    active: bool
    detail: str = ""


class Sandbox(Protocol):
    """Runs programs. Safe for concurrent use; started and stopped as an async context manager."""

    async def run(
        self,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None = None,
        gap: str | None = None,
        holding: Holding | None = None,
    ) -> Outcome:
        """Run ``code`` once. Cancelling the caller kills the program. ``printed`` is told each piece of what will be
        ``Outcome.printed``, as it comes. ``gap`` is what gaps.py says of the code, for a caller that has read it
        already; advice, on which no guarantee depends. ``holding`` is where a program waits of which no snapshot can be
        taken; without it, a call that would have to wait fails. The time for which it waits does not count. Raises
        SandboxUnavailable.
        """
        ...

    async def resume(
        self,
        pause: Pause,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        again: Again,
        printed: Printed | None = None,
    ) -> Outcome:
        """Go on with a paused program, in any worker: each pending call is answered by ``again``, once.

        ``limits`` hold for the whole program; only the time for which it was paused does not count. ``pause`` must be
        what a run of this same release returned. Raises SandboxUnavailable.
        """
        ...

    async def check(self, code: str, modules: Sequence[Module]) -> list[Diagnostic]:
        """Type-check ``code`` against the stubs without running it. Raises SandboxUnavailable."""
        ...

    def layers(self) -> list[Layer]:
        """Return which layers of the jail are in force, as the start-up self-test saw them."""
        ...


@dataclass(slots=True)
class Options:
    """How to build a sandbox. ``jail``: require (refuse to start without every layer), degrade, or off (tests only).
    ``engine``: Monty alone, or jailed CPython beside it for what Monty lacks (portal/sandbox/engines.py).

    ``extra`` is for one implementation alone; portal.sandbox.jail.open_jail says what it reads.
    """

    jail: Literal["require", "degrade", "off"] = "require"
    min_workers: int = 4
    max_workers: int = 64
    checkouts_per_worker: int = 100
    checkout_timeout_s: float = 10.0
    checkers: int = 1
    engine: Literal["monty", "monty+cpython"] = "monty"
    warm_children: int = 2
    extra: dict[str, Any] = field(default_factory=dict)
