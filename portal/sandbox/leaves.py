"""The kinds of node, and how those without children become JSON."""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Callable

from portal.sandbox.budget import Budget, NotJson
from portal.sandbox.contract import Json
from portal.sandbox.wire import BYTES, VARINT, ProtocolError, few, fields, signed32, text


class Kind:
    """What a node is: its field number in the schema. Plain numbers: they are compared for every node."""

    ELLIPSIS = 1
    NONE = 2
    NOT_IMPLEMENTED = 3
    BOOL = 4
    INT = 5
    BIGINT = 6
    FLOAT = 7
    STR = 8
    BYTES = 9
    LIST = 11
    TUPLE = 12
    NAMED_TUPLE = 13
    DICT = 14
    SET = 15
    FROZEN_SET = 16
    DATE = 17
    TIME = 18
    DATETIME = 19
    TIMEDELTA = 20
    TIMEZONE = 21
    EXCEPTION = 22
    TYPE = 23
    INSTANCE = 24
    FUNCTION = 25
    BUILTIN = 26
    PATH = 27
    REPR = 29
    CYCLE = 30
    COMPLEX = 31
    MODULE = 32
    DECIMAL = 33


MAX_INT_BITS = 1024
"""Longest integer that crosses, as long as the largest float: 309 digits. Anything longer is no number to a tool."""

SCALAR_BYTES = 5
_NAMES = {
    Kind.ELLIPSIS: "an ellipsis",
    Kind.NOT_IMPLEMENTED: "NotImplemented",
    Kind.BYTES: "bytes (decode them, or use base64)",
    Kind.TIMEZONE: "a timezone",
    Kind.EXCEPTION: "an exception (use str(…))",
    Kind.TYPE: "a class",
    Kind.FUNCTION: "a function",
    Kind.BUILTIN: "a function",
    Kind.REPR: "an object without a JSON form",
    Kind.CYCLE: "a value that contains itself",
    Kind.COMPLEX: "a complex number",
    Kind.MODULE: "a module",
    Kind.DECIMAL: "a Decimal (use float(…) or str(…))",
}


def big(payload: memoryview, budget: Budget, *, strict: bool) -> Json:
    """Return an integer of more than 64 bits. Raises OverBudget, NotJson."""
    budget.pay(SCALAR_BYTES + len(payload))
    negative, magnitude = 0, memoryview(b"")
    for number, kind, value, part in few(payload, 4):
        if number == 1 and kind == VARINT:
            negative = value
        elif number == 2 and kind == BYTES:
            magnitude = part
    if len(magnitude) * 8 > MAX_INT_BITS:
        if strict:
            raise NotJson("an integer of more than 309 digits; pass it as a string")
        return f"<an integer of {len(magnitude) * 8} bits>"
    number = int.from_bytes(magnitude, "big")
    return -number if negative else number


def number(payload: memoryview, budget: Budget, *, strict: bool) -> Json:
    """Return a float; what JSON has no number for becomes its name. Raises OverBudget, NotJson, ProtocolError."""
    budget.pay(2 * SCALAR_BYTES)
    if len(payload) != 8:
        raise ProtocolError("a float of another size than 8 bytes")
    number: float = struct.unpack("<d", payload)[0]
    if number - number == 0.0:
        return number
    if strict:
        raise NotJson(f"{number!r} is no JSON number; pass None or leave it out")
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124 - the test for NaN


def leaf(number: int, payload: memoryview, budget: Budget, *, strict: bool) -> Json:
    """Return any other node without children. Raises OverBudget, NotJson, ProtocolError."""
    budget.pay(len(payload) * 2 + 2)
    decoder = _PLAIN.get(number)
    if decoder is not None:
        return decoder(payload)
    if number not in _NAMES:
        raise ProtocolError("a node of an unknown kind")
    if strict:
        raise NotJson(f"{_NAMES[number]} has no JSON form")
    if number == Kind.BYTES:
        return base64.b64encode(payload).decode("ascii")
    if number in {Kind.REPR, Kind.CYCLE, Kind.BUILTIN, Kind.DECIMAL}:
        return text(payload)
    if number in {Kind.EXCEPTION, Kind.TYPE, Kind.FUNCTION, Kind.MODULE}:
        return _named(number, payload)
    return f"<{_NAMES[number]}>"


def _named(number: int, payload: memoryview) -> str:
    parts = [text(part) for field, kind, _, part in fields(payload) if kind == BYTES and field == 1]
    if number == Kind.EXCEPTION:
        parts += [text(part) for field, kind, _, part in fields(payload) if kind == BYTES and field == 2]
        return ": ".join(parts)
    return f"<{_NAMES[number].split()[1]} {''.join(parts)}>"


def _numbers(payload: memoryview) -> dict[int, int]:
    return {number: signed32(value) for number, kind, value, _ in fields(payload) if kind == VARINT}


def _zone(offset_s: int | None) -> dt.timezone | None:
    return None if offset_s is None else dt.timezone(dt.timedelta(seconds=offset_s))


def _checked(build: Callable[[dict[int, int]], Json]) -> Callable[[memoryview], Json]:
    def decoder(payload: memoryview) -> Json:
        try:
            return build(_numbers(payload))
        except (ValueError, OverflowError):
            raise ProtocolError("a date that does not exist") from None

    return decoder


def _date(n: dict[int, int]) -> Json:
    return dt.date(n.get(1, 0), n.get(2, 0), n.get(3, 0)).isoformat()


def _time(n: dict[int, int]) -> Json:
    return dt.time(n.get(1, 0), n.get(2, 0), n.get(3, 0), n.get(4, 0), _zone(n.get(5)), fold=n.get(7, 0)).isoformat()


def _datetime(n: dict[int, int]) -> Json:
    return dt.datetime(
        n.get(1, 0), n.get(2, 0), n.get(3, 0), n.get(4, 0), n.get(5, 0), n.get(6, 0), n.get(7, 0), _zone(n.get(8))
    ).isoformat()


def _timedelta(n: dict[int, int]) -> Json:
    return dt.timedelta(days=n.get(1, 0), seconds=n.get(2, 0), microseconds=n.get(3, 0)).total_seconds()


_PLAIN: dict[int, Callable[[memoryview], Json]] = {
    Kind.DATE: _checked(_date),
    Kind.TIME: _checked(_time),
    Kind.DATETIME: _checked(_datetime),
    Kind.TIMEDELTA: _checked(_timedelta),
    Kind.PATH: text,
}
