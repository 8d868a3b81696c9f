"""From JSON to the nodes that a worker reads: children before parents, equal dictionary keys only once."""

from __future__ import annotations

import struct

from portal.sandbox.contract import Json
from portal.sandbox.wire import put_bytes, put_packed, put_text, put_varint

MAX_DEPTH = 200
_INT64 = range(-(1 << 63), 1 << 63)


class Nodes:
    """A list of nodes being built; ``message()`` is the field that a request carries."""

    __slots__ = ("_keys", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._keys: dict[str, int] = {}

    def add(self, value: Json, depth: int = 0) -> int:  # noqa: PLR0911 - one line a kind
        """Add a JSON value and return its node number. Raises TypeError for what JSON cannot hold."""
        if isinstance(value, str):
            return self.node(put_text(8, value))
        if value is None:
            return self.node(put_bytes(2, b""))
        if isinstance(value, bool):
            return self.node(put_varint(4, int(value)))
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
        self._parts.append(put_bytes(2, body))
        return len(self._parts) - 1

    def message(self) -> bytes:
        """Return all nodes, preceded by their count."""
        return (put_varint(1, len(self._parts)) if self._parts else b"") + b"".join(self._parts)


def pair_fields(number: int, pairs: list[tuple[int, int]]) -> bytes:
    """Return dictionary entries as a repeated field."""
    return b"".join(put_bytes(number, put_varint(1, key) + put_varint(2, value)) for key, value in pairs)


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
