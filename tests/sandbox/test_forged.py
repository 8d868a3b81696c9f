"""Bytes as a worker that has been taken over may send them: each is refused by name, or is a harmless value.

The same bytes stand in hostile_programs/line.txt where they need a living line; here is what the parsers alone decide.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from portal.sandbox import events
from portal.sandbox.budget import Budget, NotJson, OverBudget
from portal.sandbox.decode import Arena
from portal.sandbox.wire import ProtocolError, encode_varint, put_bytes, put_packed, put_text, put_varint, varints

HUGE = 2**64 - 1
SURROGATE, CESU, OVERLONG = b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xc0\x80"


def nodes(*bodies: bytes) -> bytes:
    return b"".join(put_bytes(2, body) for body in bodies)


def value(*bodies: bytes, strict: bool = False) -> Callable[[], Any]:
    """Decode the last of the nodes."""

    def decode() -> Any:
        budget = Budget(1_000, 10_000, 16, "result_bytes")
        return Arena(memoryview(nodes(*bodies)), max_nodes=1_000).value(len(bodies) - 1, budget, strict=strict)

    return decode


def argument(*bodies: bytes) -> Callable[[], Any]:
    return value(*bodies, strict=True)


def parsed(parse: Callable[[memoryview], Any], body: bytes) -> Callable[[], Any]:
    return lambda: parse(memoryview(body))


def text(string: str) -> bytes:
    return put_text(8, string)


def number(given: int) -> bytes:
    return put_varint(5, given)


def sequence(*children: int) -> bytes:
    return put_bytes(11, put_packed(1, list(children)))


def mapping(*pairs: tuple[int, int]) -> bytes:
    return put_bytes(14, b"".join(put_bytes(1, put_varint(1, key) + put_varint(2, item)) for key, item in pairs))


def deep(levels: int) -> list[bytes]:
    return [number(2), *(sequence(level) for level in range(levels))]


def moment(kind: int, *parts: int) -> bytes:
    return put_bytes(kind, b"".join(put_varint(at, part) for at, part in enumerate(parts, 1)))


P, B, N = ProtocolError, OverBudget, NotJson
FORGED: dict[str, tuple[Callable[[], Any], Any]] = {
    # Numbers and fields.
    "a number that does not end": (lambda: varints(memoryview(b"\x80" * 9)), P),
    "a number of eleven bytes": (lambda: varints(memoryview(b"\x80" * 10 + b"\x01")), P),
    "a number of 65 bits": (lambda: varints(memoryview(b"\xff" * 9 + b"\x02")), P),
    "a number that is longer than it needs": (lambda: varints(memoryview(b"\x80\x80\x00")), [0]),
    "a field of number 0": (parsed(events.complete, b"\x00\x01"), P),
    "the start of a group": (parsed(events.complete, b"\x0b"), P),
    "the end of a group": (parsed(events.complete, b"\x0c"), P),
    "a wire type that does not exist": (parsed(events.complete, b"\x0f"), P),
    "a field that ends after its message": (parsed(events.complete, b"\x12\x05ab"), P),
    "a field of 2**63 bytes": (parsed(events.complete, b"\x12" + encode_varint(2**63)), P),
    "half of eight bytes": (parsed(events.seconds, b"\x09abcd"), P),
    # Events.
    "nothing": (lambda: events.event(b""), P),
    "an event of an unknown kind": (lambda: events.event(put_bytes(12, b"")), P),
    "an event of two kinds": (lambda: events.event(put_bytes(10, b"") + put_bytes(6, b"")), P),
    "an event that is a number": (lambda: events.event(put_varint(6, 1)), P),
    "an event among seventeen fields": (lambda: events.event(put_varint(40, 1) * 16 + put_bytes(6, b"")), P),
    "an error without an exception": (parsed(events.error, b""), P),
    "an error of five thousand frames": (parsed(events.error, put_bytes(1, put_bytes(3, b"") * 5_000)), P),
    "a frame whose file is no text": (parsed(events.error, put_bytes(1, put_bytes(3, put_bytes(1, b"\xff")))), P),
    "print of half a surrogate pair": (lambda: list(events.printed(memoryview(put_bytes(1, put_bytes(2, SURROGATE))))), P),
    "print of a pair in two halves": (lambda: list(events.printed(memoryview(put_bytes(1, put_bytes(2, CESU))))), P),
    "print of an overlong NUL": (lambda: list(events.printed(memoryview(put_bytes(1, put_bytes(2, OVERLONG))))), P),
    "print of NUL": (lambda: list(events.printed(memoryview(put_bytes(1, put_bytes(2, b"\0"))))), ["\0"]),
    "a call of five thousand names": (parsed(events.call, put_bytes(3, b"") * 5_000), B),
    "a call of five thousand arguments": (parsed(events.call, put_bytes(2, b"\x01" * 20_000)), B),
    "a name that is more than a pair": (parsed(events.call, put_bytes(3, put_varint(9, 1) * 20)), P),
    "waiting for more calls than there can be": (lambda: events.futures(memoryview(put_bytes(1, b"\x01" * 6_000)), 500), P),
    "a sleep that is not a number": (parsed(events.seconds, b"\x09" + struct.pack("<d", float("nan"))), 0.0),
    "a sleep without end": (parsed(events.seconds, b"\x09" + struct.pack("<d", float("inf"))), 0.0),
    "a sleep that is negative": (parsed(events.seconds, b"\x09" + struct.pack("<d", -1.0)), 0.0),
    "a sleep of 300 years": (parsed(events.seconds, b"\x09" + struct.pack("<d", 1e10)), 0.0),
    # Values: how they refer to one another.
    "a root that is not there": (lambda: Arena(memoryview(b""), max_nodes=9).value(0, Budget(9, 9, 9, ""), strict=False), P),
    "a node that is its own child": (value(sequence(0)), P),
    "a node whose child comes later": (value(sequence(1), sequence(0)), P),
    "a child numbered 2**64 - 1": (value(number(2), sequence(HUGE)), P),
    "a key that comes later": (value(number(2), mapping((5, 0))), P),
    "a value that comes later": (value(text("k"), mapping((0, 5))), P),
    "an entry without key and value": (value(text("k"), put_bytes(14, put_bytes(1, b""))), {"k": "k"}),
    "an entry of five fields": (value(text("k"), put_bytes(14, put_bytes(1, put_varint(1, 0) * 5))), P),
    "a list among other things": (value(number(2), put_bytes(11, put_varint(9, 0))), P),
    "a dictionary among other things": (value(text("k"), put_bytes(14, put_varint(1, 0))), P),
    "a node without a kind": (value(b""), P),
    "a node of an unknown kind": (value(put_bytes(34, b"")), P),
    "a node of a kind that was given up": (value(put_bytes(10, b"")), P),
    "more nodes than allowed": (value(*[number(2)] * 1_100), B),
    "a list that doubles eleven times": (value(number(2), *(sequence(n, n) for n in range(11))), B),
    "a list nested seventeen deep": (value(*deep(17)), B),
    "a list nested sixteen deep": (value(*deep(16)), json.loads("[" * 16 + "1" + "]" * 16)),
    "an argument nested seventeen deep": (argument(*deep(17)), B),
    "keys that come twice": (value(text("k"), number(2), number(4), mapping((0, 1), (0, 2))), {"k": 2}),
    "keys that become the same": (value(number(2), text("1"), mapping((0, 0), (1, 1))), {"1": "1"}),
    "a key that is a list": (argument(sequence(), mapping((0, 0))), N),
    # Values: leaves.
    "text that is not UTF-8": (value(put_bytes(8, b"\xff")), P),
    "text with half a surrogate pair": (value(put_bytes(8, SURROGATE)), P),
    "text longer than allowed": (value(text("x" * 10_001)), B),
    "text that is a number": (value(put_varint(8, 1)), ""),
    "a number that is text": (value(put_bytes(5, b"1")), P),
    "the largest number": (value(number(HUGE)), -(2**63)),
    "true, numbered 2**64 - 1": (value(put_varint(4, HUGE)), True),
    "a float of seven bytes": (value(put_bytes(7, b"1234567")), P),
    "a float that is not a number": (value(b"\x39" + struct.pack("<d", float("nan"))), "NaN"),
    "a float that is not a number, as an argument": (argument(b"\x39" + struct.pack("<d", float("nan"))), N),
    "a large number without a magnitude": (value(put_bytes(6, b"")), 0),
    "a large number, less than nothing of nothing": (value(put_bytes(6, put_varint(1, 1))), 0),
    "a large number with zeros before it": (value(put_bytes(6, put_bytes(2, bytes(100) + b"\x01"))), 1),
    "a number of 1,032 bits": (value(put_bytes(6, put_bytes(2, b"\xff" * 129))), "<an integer of 1032 bits>"),
    "a number of 1,032 bits, as an argument": (argument(put_bytes(6, put_bytes(2, b"\xff" * 129))), N),
    "a number larger than the budget": (value(put_bytes(6, put_bytes(2, b"\xff" * 10_000))), B),
    "a number of five parts": (value(put_bytes(6, put_varint(1, 0) * 5)), P),
    "the 99th of the 99th month": (value(moment(17, 2020, 99, 99)), P),
    "a date of the year 2**64 - 1": (value(moment(17, HUGE, 1, 1)), P),
    "a date without parts": (value(put_bytes(17, b"")), P),
    "a time after midnight": (value(moment(18, 24, 0, 0, 0)), P),
    "a time zone a month away": (value(moment(19, 2020, 1, 1, 0, 0, 0, 0, 2_592_000)), P),
    "a duration longer than time": (value(moment(20, 2**62)), P),
    "a named tuple with more names than values": (value(put_bytes(13, put_text(2, "a") * 2)), P),
    "a named tuple with more values than names": (value(number(2), put_bytes(13, put_packed(3, [0, 0]))), P),
    "a named tuple of one name twice": (value(number(2), put_bytes(13, put_text(2, "a") * 2 + put_packed(3, [0, 0]))), {"a": 1}),
    "an instance without attributes": (value(put_bytes(24, b"")), {}),
    "an instance of many parts": (value(put_bytes(24, put_varint(9, 1) * 17)), P),
    "an exception whose name is no text": (value(put_bytes(22, put_bytes(1, b"\xff"))), P),
    "a decimal": (value(put_bytes(33, b"1.50")), "1.50"),
    "a decimal as an argument": (argument(put_bytes(33, b"1.50")), N),
    "bytes": (value(put_bytes(9, b"\0\xff")), "AP8="),
    "bytes as an argument": (argument(put_bytes(9, b"x")), N),
    "a function as an argument": (argument(put_bytes(25, put_text(1, "desk.echo"))), N),
    "a cycle as an argument": (argument(put_bytes(30, b"...")), N),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_forged_bytes_are_refused_or_harmless(name: str) -> None:
    parse, expected = FORGED[name]
    if isinstance(expected, type) and issubclass(expected, Exception):
        with pytest.raises(expected):
            parse()
    else:
        found = parse()
        assert found == expected
        json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_what_a_shared_value_costs_depends_on_what_was_sent(size: int) -> None:
    budget = Budget(size, 10**9, 64, "result_bytes")
    bodies = [number(2), *(sequence(*[at] * 50) for at in range(6))]
    with pytest.raises(OverBudget):
        Arena(memoryview(nodes(*bodies)), max_nodes=size).value(6, budget, strict=False)
    assert budget.spent_nodes == 0
    assert budget.spent_read < 2_000


def test_padding_is_paid_for_at_every_visit() -> None:
    padded = put_bytes(13, put_text(1, "x" * 30_000))
    bodies = [padded, sequence(*[0] * 900)]
    budget = Budget(1_000, 1_000_000, 64, "result_bytes")
    with pytest.raises(OverBudget):
        Arena(memoryview(nodes(*bodies)), max_nodes=1_000).value(1, budget, strict=False)
    assert budget.spent_nodes < 100
