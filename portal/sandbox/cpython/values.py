"""Values of a program as the nodes that the portal decodes, and the portal's answers as values. Runs in the child.

Nothing here is trusted by the portal: decode.py counts and judges all of it again.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import pathlib
import struct
import types
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from portal.sandbox.encode import Nodes, pair_fields
from portal.sandbox.leaves import Kind
from portal.sandbox.wire import BYTES, VARINT, fields, put_bytes, put_packed, put_text, text, varints, zigzag

MAX_DEPTH = 150
"""Deeper than the portal accepts, so that it is the portal that says so."""

MAX_REPR_CHARS = 2_000
_SEQUENCES: tuple[type, ...] = (list, collections.deque, range, type({}.keys()), type({}.values()), type({}.items()))
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)


class Encoder:
    """Encodes values into ``nodes``. A container that occurs twice becomes one node, as it is one object."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self._seen: dict[int, int] = {}
        self._open: set[int] = set()
        # An object that is made here must not give its number to the next one.
        self._kept: list[object] = []

    def add(self, value: object, depth: int = 0) -> int:
        """Add a value of any type and return its node number."""
        kind = type(value)
        if value is None or kind in {bool, int, float, str}:
            return self.nodes.add(value)
        if isinstance(value, enum.Enum):
            return self.add(value.value, depth + 1) if depth < MAX_DEPTH else self.nodes.add(None)
        found = self._leaf(value)
        return found if found is not None else self._container(value, depth)

    def _leaf(self, value: object) -> int | None:  # noqa: C901, PLR0911 - one line a kind
        for kind in (int, float, str):
            if isinstance(value, kind):
                return self.nodes.add(kind(value))
        if isinstance(value, dt.datetime | dt.date | dt.time):
            return self.nodes.add(value.isoformat())
        if isinstance(value, dt.timedelta):
            return self.nodes.add(value.total_seconds())
        if isinstance(value, pathlib.PurePath):
            return self.nodes.add(str(value))
        if isinstance(value, bytes | bytearray):
            return self.nodes.node(put_bytes(Kind.BYTES, bytes(value)))
        if isinstance(value, complex):
            return self._named(Kind.REPR, value)
        if isinstance(value, BaseException):
            return self.nodes.node(
                put_bytes(Kind.EXCEPTION, put_text(1, type(value).__name__) + put_text(2, shown(str, value)))
            )
        if isinstance(value, type):
            return self.nodes.node(put_bytes(Kind.TYPE, put_text(1, value.__name__)))
        if isinstance(value, _FUNCTIONS):
            return self.nodes.node(put_bytes(Kind.FUNCTION, put_text(1, value.__name__)))
        return None

    def _container(self, value: object, depth: int) -> int:
        identity = id(value)
        if identity in self._open:
            return self.nodes.node(put_text(Kind.CYCLE, "..."))
        if identity in self._seen:
            return self._seen[identity]
        if depth >= MAX_DEPTH:
            return self.nodes.add(None)
        self._open.add(identity)
        try:
            number = self._body(value, depth + 1)
        finally:
            self._open.discard(identity)
        self._kept.append(value)
        self._seen[identity] = number
        return number

    def _body(self, value: object, depth: int) -> int:  # noqa: PLR0911 - one line a kind
        if isinstance(value, tuple):
            names = getattr(type(value), "_fields", None)
            items = put_packed(3 if names else 1, [self.add(item, depth) for item in value])
            if not names:
                return self.nodes.node(put_bytes(Kind.TUPLE, items))
            return self.nodes.node(put_bytes(Kind.NAMED_TUPLE, b"".join(put_text(2, str(n)) for n in names) + items))
        if isinstance(value, _SEQUENCES):
            return self._sequence(Kind.LIST, cast("Iterable[object]", value), depth)
        if isinstance(value, set | frozenset):
            return self._sequence(Kind.SET, value, depth)
        if isinstance(value, Mapping):
            return self.nodes.node(put_bytes(Kind.DICT, self._pairs(value.items(), depth)))
        if dataclasses.is_dataclass(value):
            attributes = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        else:
            attributes = getattr(value, "__dict__", None) or {}
        if not attributes or isinstance(value, types.ModuleType):
            return self._named(Kind.REPR, value)
        return self.nodes.node(put_bytes(Kind.INSTANCE, put_bytes(3, self._pairs(attributes.items(), depth))))

    def _sequence(self, kind: int, items: Iterable[object], depth: int) -> int:
        return self.nodes.node(put_bytes(kind, put_packed(1, [self.add(item, depth) for item in items])))

    def _pairs(self, items: Iterable[tuple[object, object]], depth: int) -> bytes:
        return pair_fields(
            1,
            [
                (self.nodes.key(key) if type(key) is str else self.add(key, depth), self.add(item, depth))
                for key, item in items
            ],
        )

    def _named(self, kind: int, value: object) -> int:
        # What has no JSON form reads as a person would write it: a Decimal as 1.50, not as Decimal('1.50').
        return self.nodes.node(put_text(kind, shown(str, value)))


def shown(show: Callable[[object], str], value: object) -> str:
    """Return ``show(value)``, cut; the type's name when that fails, for it runs code of the program."""
    try:
        return show(value)[:MAX_REPR_CHARS]
    except Exception:  # noqa: BLE001 - whatever a program's __str__ raises
        return f"<{type(value).__name__}>"


class Decoder:
    """The nodes of one answer. ``function`` makes a callable of a function's full name."""

    def __init__(self, message: memoryview, function: Callable[[str], object]) -> None:
        self._nodes = [part for number, kind, _, part in fields(message) if number == 2 and kind == BYTES]
        self._function = function

    def value(self, index: int) -> object:  # noqa: PLR0911 - one line a kind
        """Return the value at a node."""
        number, kind, value, payload = next(fields(self._nodes[index]))
        if number == Kind.STR:
            return text(payload)
        if number == Kind.INT and kind == VARINT:
            return zigzag(value)
        if number == Kind.BOOL:
            return bool(value)
        if number == Kind.FLOAT:
            return struct.unpack("<d", payload)[0]
        if number == Kind.LIST:
            return [self.value(child) for _, _, _, part in fields(payload) for child in varints(part)]
        if number == Kind.DICT:
            return self._mapping(payload)
        if number == Kind.BIGINT:
            return _big(payload)
        if number == Kind.FUNCTION:
            return self._function(next(text(part) for field, _, _, part in fields(payload) if field == 1))
        if number == Kind.MODULE:
            return next(self._mapping(part) for field, _, _, part in fields(payload) if field == 3)
        return None

    def _mapping(self, payload: memoryview) -> dict[object, object]:
        pairs = [{number: value for number, _, value, _ in fields(part)} for _, _, _, part in fields(payload)]
        return {self.value(pair.get(1, 0)): self.value(pair.get(2, 0)) for pair in pairs}


def _big(payload: memoryview) -> int:
    found = {number: (value, part) for number, _, value, part in fields(payload)}
    magnitude = int.from_bytes(found[2][1], "big")
    return -magnitude if 1 in found and found[1][0] else magnitude
