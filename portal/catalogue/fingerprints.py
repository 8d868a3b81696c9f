"""When two records are the same type: a digest of everything that a record leads to, whatever it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from portal.catalogue.shapes import Atom, Choice, DictOf, Either, ListOf, Named, Record, Shape, TupleOf, nested

Records = Mapping[str, Record]


def inside(records: Records, key: str) -> list[str]:
    """Return the keys of the records that a record names directly."""
    record = records[key]
    shapes = [entry.shape for entry in record.fields] + ([record.extra] if record.extra is not None else [])
    return [name for shape in shapes for name in nested(shape)]


def fingerprints(records: Records) -> dict[str, str]:
    """Return a digest of each record's shape; equal digests are equal types.

    A record that does not lead to itself is its fields with the digests of what they name. One that does is told apart
    by the whole ring, which makes it independent of where one enters it.
    """
    found: dict[str, str] = {}
    for key in records:
        _digest(records, key, found)
    return found


def _digest(records: Records, start: str, found: dict[str, str]) -> None:
    stack = [start]
    while stack:
        key = stack[-1]
        waiting = [name for name in inside(records, key) if name not in found]
        ring = sorted(_closure(records, key))
        if key in found:
            stack.pop()
        elif key not in ring and not waiting:
            found[stack.pop()] = _hashed(_text(records[key], found))
        elif key in ring:
            found[stack.pop()] = _hashed(
                _place(key) + "".join(_place(name) + _text(records[name], {}) for name in ring)
            )
        else:
            stack += waiting


def _place(key: str) -> str:
    """Return where a record stands in its schema, without the mark that says whether it is of the answer."""
    return key[1:]


def _closure(records: Records, key: str) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        name = waiting.pop()
        for inner in inside(records, name):
            if inner not in found:
                found.add(inner)
                waiting.append(inner)
    return found


def _text(record: Record, digests: Mapping[str, str]) -> str:
    fields = [f"{f.name!r}{'' if f.required else '?'}:{_shape(f.shape, digests)}" for f in record.fields]
    return "{" + ";".join(fields) + ("|" + _shape(record.extra, digests) if record.extra is not None else "") + "}"


def _shape(shape: Shape, digests: Mapping[str, str]) -> str:
    if isinstance(shape, Named):
        return digests.get(shape.key, _place(shape.key))
    if isinstance(shape, Choice):
        return f"L{shape.values!r}"
    if isinstance(shape, ListOf):
        return f"[{_shape(shape.item, digests)}]"
    if isinstance(shape, DictOf):
        return f"D{_shape(shape.value, digests)}"
    if isinstance(shape, Atom):
        return shape.text
    return ("T(" if isinstance(shape, TupleOf) else "U(") + _several(_parts(shape), digests) + ")"


def _parts(shape: TupleOf | Either) -> Sequence[Shape]:
    return shape.items if isinstance(shape, TupleOf) else shape.options


def _several(shapes: Sequence[Shape], digests: Mapping[str, str]) -> str:
    return ",".join(_shape(shape, digests) for shape in shapes)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
