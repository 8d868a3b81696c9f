"""What a worker answers (requests.py says to what). Nobody vouches for it: each parser raises ProtocolError.

Nothing of an event is turned into Python values until a budget exists (decode.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from portal.sandbox.budget import OverBudget
from portal.sandbox.wire import BYTES, MAX_VARINT_BYTES, VARINT, ProtocolError, few, fields, text, varints

MAX_ARGUMENTS = 4_096
"""More in one call than any function has parameters."""

MAX_FRAMES = 64
"""So many of a traceback are read, half of them from its end."""

_NUMBER_BYTES = 4
_FEW = 16
_MANY = 4_096


class Kind(IntEnum):
    """What an event is: its field number in the schema."""

    PRINT = 1
    CALL = 2
    SYSTEM = 3
    NAME = 4
    FUTURES = 5
    COMPLETE = 6
    ERROR = 7
    FINDINGS = 8
    DUMP = 9
    OK = 10
    FATAL = 11


class System(IntEnum):
    """The system calls that are answered; every other is refused by the worker's own default."""

    SLEEP = 29
    ASYNC_SLEEP = 30
    IMPORT = 31
    STUBS = 32


@dataclass(frozen=True, slots=True)
class Event:
    """One answer of a worker, not decoded yet. ``cpu_us`` is the processor time of this program so far."""

    kind: Kind
    body: memoryview
    cpu_us: int


@dataclass(frozen=True, slots=True)
class CallEvent:
    """The program calls a function. ``eager``: it awaits at once and nothing else can run meanwhile."""

    function: str
    call_id: int
    args: list[int]
    kwargs: list[tuple[int, int]]
    arena: memoryview
    eager: bool


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """The program needs something of its surroundings. ``operation`` is the field number in the schema."""

    operation: int
    call_id: int
    body: memoryview
    eager: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a traceback. ``line`` counts from 1."""

    filename: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    carets: bool


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The program failed with a Python exception. ``omitted`` frames of its traceback were not read."""

    error: str
    message: str
    frames: tuple[Frame, ...]
    omitted: int = 0


def event(data: bytes) -> Event:
    """Parse one frame. Raises ProtocolError."""
    kind, body, cpu_us = 0, memoryview(b""), 0
    for number, wire, value, payload in few(memoryview(data), _FEW):
        if wire == BYTES and number <= Kind.FATAL:
            if kind:
                raise ProtocolError("an event of two kinds")
            kind, body = number, payload
        elif wire == VARINT and number == 24:
            cpu_us = value
    if not kind:
        raise ProtocolError("an event of an unknown kind")
    return Event(Kind(kind), body, cpu_us)


def printed(body: memoryview) -> Iterator[str]:
    """Yield the texts of a print event, as they are asked for."""
    return (
        text(part)
        for number, wire, _, segment in few(body, _MANY)
        if number in {1, 3} and wire == BYTES
        for field, kind, _, part in few(segment, _FEW)
        if field == 2 and kind == BYTES
    )


def call(body: memoryview) -> CallEvent:
    """Parse a call. Raises OverBudget for more than MAX_ARGUMENTS."""
    function, call_id, eager, arena = "", 0, False, memoryview(b"")
    args: list[int] = []
    kwargs: list[tuple[int, int]] = []
    for seen, (number, wire, value, payload) in enumerate(fields(body)):
        if seen > MAX_ARGUMENTS or (number == 2 and len(payload) > _NUMBER_BYTES * MAX_ARGUMENTS):
            raise OverBudget("nodes", MAX_ARGUMENTS)
        if wire == VARINT:
            if number == 4:
                call_id = value
            elif number == 6:
                eager = bool(value)
        elif number == 1:
            function = text(payload)
        elif number == 2:
            args += varints(payload)
        elif number == 3:
            kwargs.append(_pair(payload))
        elif number == 7:
            arena = payload
    return CallEvent(function, call_id, args, kwargs, arena, eager)


def system(body: memoryview) -> SystemEvent:
    """Parse a system call."""
    operation, call_id, eager, found = 0, 0, False, memoryview(b"")
    for number, wire, value, payload in few(body, _FEW):
        if wire == VARINT and number == 1:
            call_id = value
        elif wire == VARINT and number == 51:
            eager = bool(value)
        elif wire == BYTES and number not in {50, 52}:
            operation, found = number, payload
    return SystemEvent(operation, call_id, found, eager)


def seconds(body: memoryview) -> float:
    """Return the duration of a sleep: 0 for what is not a duration."""
    for number, _, _, payload in few(body, _FEW):
        if number == 1 and len(payload) == 8:
            found: float = struct.unpack("<d", payload)[0]
            return found if 0 < found < 1e9 else 0.0
    return 0.0


def names(body: memoryview) -> list[str]:
    """Return the strings of field 1: imported modules, an undefined name, findings, a fatal message."""
    return [text(payload) for number, wire, _, payload in few(body, _MANY) if number == 1 and wire == BYTES]


def futures(body: memoryview, most: int) -> list[int]:
    """Return the calls that the program waits for, of at most ``most`` that it may have begun."""
    if len(body) > MAX_VARINT_BYTES * (most + 1):
        raise ProtocolError("a program that waits for too many calls")
    return [call for number, wire, _, part in fields(body) if number == 1 and wire == BYTES for call in varints(part)]


def complete(body: memoryview) -> tuple[int, memoryview]:
    """Return the root and the arena of a program's value."""
    root, arena = 0, memoryview(b"")
    for number, wire, value, payload in few(body, _FEW):
        if number == 1 and wire == VARINT:
            root = value
        elif number == 2 and wire == BYTES:
            arena = payload
    return root, arena


def dump(body: memoryview) -> bytes:
    """Return the bytes of a dump."""
    return next((bytes(payload) for number, wire, _, payload in fields(body) if number == 1 and wire == BYTES), b"")


def error(body: memoryview) -> ErrorEvent:
    """Parse an exception with its traceback."""
    for number, wire, _, raised in few(body, _FEW):
        if number == 1 and wire == BYTES:
            name, message = "", ""
            frames: list[memoryview] = []
            for field, kind, _, payload in few(raised, _MANY):
                if kind != BYTES:
                    continue
                if field == 1:
                    name = text(payload)
                elif field == 2:
                    message = text(payload)
                elif field == 3:
                    frames.append(payload)
            omitted = max(0, len(frames) - MAX_FRAMES)
            del frames[MAX_FRAMES // 2 : MAX_FRAMES // 2 + omitted]
            return ErrorEvent(name, message, tuple(map(_frame, frames)), omitted)
    raise ProtocolError("an error without an exception")


def _frame(body: memoryview) -> Frame:
    filename, function, carets = "", "", True
    start = end = (0, 0)
    for number, wire, value, payload in few(body, _FEW):
        if wire == VARINT and number == 6:
            carets = not value
        elif number == 1:
            filename = text(payload)
        elif number == 2:
            start = _pair(payload)
        elif number == 3:
            end = _pair(payload)
        elif number == 4:
            function = text(payload)
    return Frame(filename, start[0], start[1], end[0], end[1], function, carets)


def _pair(message: memoryview) -> tuple[int, int]:
    first = second = 0
    for number, wire, value, _ in few(message, _FEW):
        if wire == VARINT and number == 1:
            first = value
        elif wire == VARINT and number == 2:
            second = value
    return first, second
