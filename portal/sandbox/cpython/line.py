"""The child's end of the line to the portal: one event, one answer. For honest programs; nobody relies on it."""

from __future__ import annotations

import builtins
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portal.sandbox.cpython.values import Decoder, Encoder
from portal.sandbox.encode import Nodes
from portal.sandbox.events import Kind, System
from portal.sandbox.wire import BYTES, VARINT, fields, put_bytes, put_packed, put_text, put_varint, text

CONFIGURE, FEED, RESUME, SETTLED = 1, 3, 4, 6
_HEADER = struct.Struct("<I")
_PRINT_CHARS, _PRINT_EVERY_S = 4_096, 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: ``value``, an exception, or neither yet (``later``)."""

    value: Any = None
    error: Exception | None = None
    later: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """What the portal asks: its field number and what stands in it."""

    kind: int
    body: memoryview


class Line:
    """Frames over descriptors 0 and 1, and what is printed in between. A ``silent`` one writes nothing."""

    def __init__(self, function: Callable[[str], object], *, silent: bool = False) -> None:
        self._function = function
        self._silent = silent
        self._printed: list[str] = []
        self._waiting_chars = 0
        self._flushed_s = 0.0
        self._next_id = 0
        self._writing = False
        self._overdue = False
        self.cpu_start_s: float | None = None

    def receive(self) -> Request:
        """Wait for a request. The process ends with the line."""
        (size,) = _HEADER.unpack(_read(_HEADER.size))
        number, _, _, body = next(fields(memoryview(_read(size))))
        return Request(number, body)

    def send(self, kind: Kind, body: bytes) -> None:
        """Send an event, after what was printed before it."""
        self.flush()
        self._write(kind, body)

    def ask(self, kind: Kind, body: bytes) -> Request:
        """Send an event and wait for its answer."""
        self.send(kind, body)
        return self.receive()

    def print(self, written: str) -> None:
        """Keep what is printed until it is worth a frame."""
        self._printed.append(written)
        self._waiting_chars += len(written)
        if self._waiting_chars >= _PRINT_CHARS or time.monotonic() - self._flushed_s > _PRINT_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Send what was printed."""
        if not self._printed:
            return
        written, self._printed, self._waiting_chars = "".join(self._printed), [], 0
        self._flushed_s = time.monotonic()
        self._write(Kind.PRINT, put_bytes(1, put_text(2, written)))

    def call(self, function: str, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[int, Answer]:
        """Begin a call. Return its number and ``later``, or why it was not begun."""
        encoder = Encoder()
        given = [encoder.add(arg) for arg in args]
        named = [(encoder.nodes.key(name), encoder.add(arg)) for name, arg in kwargs.items()]
        call_id = self._number()
        body = put_text(1, function) + put_packed(2, given)
        body += b"".join(put_bytes(3, put_varint(1, key) + put_varint(2, value)) for key, value in named)
        body += put_varint(4, call_id) + put_bytes(7, encoder.nodes.message())
        return call_id, self._answer(self.ask(Kind.CALL, body))

    def load(self, module: str) -> dict[str, object] | None:
        """Return the functions of a server's module, None when there is no such module."""
        body = put_varint(1, self._number()) + put_bytes(System.IMPORT, put_text(1, module))
        answer = self._answer(self.ask(Kind.SYSTEM, body))
        return dict(answer.value) if answer.known else None

    def sleep(self, seconds: float, *, wait: bool) -> int:
        """Let the portal count the time: it is no processor time. Without ``wait``, return the number to wait for."""
        number = self._number()
        operation = System.SLEEP if wait else System.ASYNC_SLEEP
        duration = put_bytes(operation, b"\x09" + struct.pack("<d", seconds))
        self.ask(Kind.SYSTEM, put_varint(1, number) + duration)
        return number

    def settled(self, wanted: list[int]) -> dict[int, Answer]:
        """Wait until one of the calls is answered; return those that are."""
        request = self.ask(Kind.FUTURES, put_packed(1, wanted))
        arena = next((part for number, kind, _, part in fields(request.body) if number == 2 and kind == BYTES), b"")
        decoder = Decoder(memoryview(arena), self._function)
        found: dict[int, Answer] = {}
        for number, kind, _, part in fields(request.body):
            if number == 1 and kind == BYTES:
                call_id, result = 0, memoryview(b"")
                for field, wire, value, payload in fields(part):
                    if wire == VARINT and field == 1:
                        call_id = value
                    elif field == 2:
                        result = payload
                found[call_id] = _result(result, decoder)
        return found

    def cpu_us(self) -> int:
        """Processor time of the program so far; 0 before it has begun."""
        return 0 if self.cpu_start_s is None else max(1, int((time.process_time() - self.cpu_start_s) * 1_000_000))

    def give_up(self) -> None:
        """The processor time is used up: say so and end, if need be after the frame that is being written."""
        self._overdue = True
        if not self._writing:
            self._overdue = False
            self.send(Kind.ERROR, put_bytes(1, put_text(1, "TimeoutError") + put_text(2, "time limit exceeded")))
            self.rest()

    def rest(self) -> None:
        """Wait for the end: a process that goes by itself looks like one that died."""
        while os.read(0, 65_536):
            pass
        os._exit(0)

    def _answer(self, request: Request) -> Answer:
        if request.kind == SETTLED:
            return Answer()
        result, arena = memoryview(b""), memoryview(b"")
        for number, kind, _, part in fields(request.body):
            if number == 2 and kind == BYTES:
                result = part
            elif number == 3 and kind == BYTES:
                arena = part
        return _result(result, Decoder(arena, self._function))

    def _number(self) -> int:
        self._next_id += 1
        return self._next_id

    def _write(self, kind: Kind, body: bytes) -> None:
        self._writing = True
        frame = put_bytes(kind, body) + put_varint(24, self.cpu_us())
        data = memoryview(_HEADER.pack(len(frame)) + frame)
        while data and not self._silent:
            data = data[os.write(1, data) :]
        self._writing = False
        if self._overdue:
            self.give_up()


def error_event(name: str, message: str, frames: list[tuple[int, int, int, int, str, str]]) -> bytes:
    """Return the body of an error event. A frame: line, column, end line, end column, function, file."""
    parts = [
        put_text(1, file)
        + put_bytes(2, put_varint(1, line) + put_varint(2, column))
        + put_bytes(3, put_varint(1, end_line) + put_varint(2, end_column))
        + put_text(4, function)
        for line, column, end_line, end_column, function, file in frames
    ]
    body = put_text(1, name) + put_text(2, message) + b"".join(put_bytes(3, part) for part in parts)
    return put_bytes(1, body)


def complete_event(value: object) -> bytes:
    """Return the body of the event that ends a program with its value."""
    encoder = Encoder()
    root = encoder.add(value)
    nodes: Nodes = encoder.nodes
    return put_varint(1, root) + put_bytes(2, nodes.message())


def _result(result: memoryview, decoder: Decoder) -> Answer:
    number, _, value, part = next(fields(result), (5, 0, 0, memoryview(b"")))
    if number == 1:
        return Answer(decoder.value(value))
    if number == 2:
        said = {field: text(payload) for field, _, _, payload in fields(part)}
        kind = getattr(builtins, said.get(1, ""), RuntimeError)
        known = isinstance(kind, type) and issubclass(kind, Exception)
        return Answer(error=(kind if known else RuntimeError)(said.get(2, "")))
    if number == 3:
        return Answer(later=True)
    return Answer(known=False)


def _read(size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
