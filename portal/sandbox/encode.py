"""From JSON to the nodes that a worker reads: children before parents, equal keys and small values only once."""

from __future__ import annotations

import struct

from portal.sandbox.contract import Json
from portal.sandbox.wire import BYTES, VARINT, encode_varint, put_bytes, put_packed, put_text, put_varint

MAX_DEPTH = 200
SHORT_CHARS = 64
"""Longer strings are not worth remembering."""

# Written out, because they stand before every node and every pair.
_NODE = encode_varint(2 << 3 | BYTES)
_KEY = encode_varint(1 << 3 | VARINT)
_VALUE = encode_varint(2 << 3 | VARINT)
_INT64 = range(-(1 << 63), 1 << 63)


class Nodes:
    """A list of nodes being built; ``message()`` is the field that a request carries."""

    __slots__ = ("_constants", "_keys", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._keys: dict[str, int] = {}
        self._constants: dict[bool | None, int] = {}

    def add(self, value: Json, depth: int = 0) -> int:
        """Add a JSON value and return its node number. Raises TypeError for what JSON cannot hold."""
        if isinstance(value, str):
            # Values repeat as keys do: owners, states, kinds.
            return self.key(value) if len(value) <= SHORT_CHARS else self.node(put_text(8, value))
        if value is None or isinstance(value, bool):
            return self._once(value)
        if isinstance(value, int):
            return self.node(_integer(value))
        if isinstance(value, float):
            return self.node(b"\x39" + struct.pack("<d", value))
        if depth >= MAX_DEPTH:
            raise TypeError("the value is nested too deeply")
        if isinstance(value, dict):
            pairs = [(self.key(key), self.add(item, depth + 1)) for key, item in value.items()]
            return self.node(put_bytes(14, pair_fields(1, pairs)))
        if isinstance(value, list | tuple):
            return self.node(put_bytes(11, put_packed(1, [self.add(item, depth + 1) for item in value])))
        raise TypeError(f"{type(value).__name__} is not JSON")

    def _once(self, value: bool | None) -> int:
        found = self._constants.get(value)
        if found is None:
            body = put_bytes(2, b"") if value is None else put_varint(4, int(value))
            found = self._constants[value] = self.node(body)
        return found

    def key(self, name: str) -> int:
        """Add a string that is likely to come again."""
        found = self._keys.get(name)
        if found is None:
            if not isinstance(name, str):
                raise TypeError("a dictionary key must be a string")
            found = self._keys[name] = self.node(put_text(8, name))
        return found

    def node(self, body: bytes) -> int:
        """Add a node that is encoded already."""
        self._parts.append(_NODE + encode_varint(len(body)) + body)
        return len(self._parts) - 1

    def message(self) -> bytes:
        """Return all nodes, preceded by their count."""
        return (put_varint(1, len(self._parts)) if self._parts else b"") + b"".join(self._parts)


def pair_fields(number: int, pairs: list[tuple[int, int]]) -> bytes:
    """Return dictionary entries as a repeated field."""
    tag = encode_varint(number << 3 | BYTES)
    parts: list[bytes] = []
    for key, value in pairs:
        body = _KEY + encode_varint(key) + _VALUE + encode_varint(value)
        parts.append(tag + encode_varint(len(body)) + body)
    return b"".join(parts)


def is_small(value: Json, nodes: int = 500, chars: int = 65_536) -> bool:
    """Whether encoding the value takes so little time that a thread would cost more. O(nodes)."""
    waiting = [value]
    while waiting:
        nodes -= 1
        item = waiting.pop()
        if isinstance(item, str):
            chars -= len(item)
        elif isinstance(item, dict | list):
            if len(item) > nodes:
                return False
            waiting.extend(item.values() if isinstance(item, dict) else item)
        if nodes < 0 or chars < 0:
            return False
    return True


def _integer(value: int) -> bytes:
    if value in _INT64:
        return put_varint(5, (value << 1) ^ (value >> 63))
    magnitude = abs(value)
    body = put_bytes(2, magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big"))
    return put_bytes(6, (put_varint(1, 1) if value < 0 else b"") + body)
