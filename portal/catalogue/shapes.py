"""Types as data: what a JSON Schema becomes before it has names. Immutable; equal shapes are equal values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Atom:
    """A type that needs no name: ``str``, ``int``, ``None``, ``Any`` …"""

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """``Literal[…]``: the allowed values, as JSON scalars, in schema order."""

    values: tuple[str | int | bool | None, ...]
    kinds: tuple[str, ...]  # 1 == True in Python; the kinds keep Choice((1,)) and Choice((True,)) apart


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Shape


@dataclass(frozen=True, slots=True)
class DictOf:
    value: Shape


@dataclass(frozen=True, slots=True)
class TupleOf:
    items: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Either:
    options: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A record of the same signature, by its key there (so that a record may hold itself)."""

    key: str


Shape = Atom | Choice | ListOf | DictOf | TupleOf | Either | Named


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record."""

    name: str
    shape: Shape
    required: bool
    description: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """An object with known keys. ``extra`` is the shape of further keys; None when there are none that we know of.

    ``title`` is the name that its author gave it, ``hint`` the one that its place suggests.
    """

    fields: tuple[Field, ...]
    extra: Shape | None
    title: str
    hint: str = field(default="", compare=False)


ANY = Atom("Any")
NONE = Atom("None")
STR = Atom("str")


def choice(values: list[Any]) -> Choice:
    """Return the Literal of JSON scalars."""
    return Choice(tuple(values), tuple(type(value).__name__ for value in values))


def either(options: list[Shape]) -> Shape:
    """Return the union: flattened, without repeats, literals joined, ``Any`` swallowing all, ``None`` last."""
    flat: dict[Shape, None] = {}
    literals: list[Any] = []
    for option in options:
        for part in option.options if isinstance(option, Either) else (option,):
            if isinstance(part, Choice):
                literals += part.values
            flat[part] = None
    if ANY in flat or not flat:
        return ANY
    parts: list[Shape] = [part for part in flat if not isinstance(part, Choice)]
    if literals:
        parts.insert(0, _joined(literals))
    if Atom("float") in parts:
        parts = [part for part in parts if part != Atom("int")]
    if NONE in parts:
        parts.remove(NONE)
        parts.append(NONE)
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def nested(shape: Shape) -> Iterator[str]:
    """Yield the keys of the records that a shape names directly."""
    if isinstance(shape, Named):
        yield shape.key
    elif isinstance(shape, ListOf):
        yield from nested(shape.item)
    elif isinstance(shape, DictOf):
        yield from nested(shape.value)
    elif isinstance(shape, TupleOf | Either):
        for part in shape.items if isinstance(shape, TupleOf) else shape.options:
            yield from nested(part)


def _joined(values: list[Any]) -> Choice:
    distinct = {(type(value).__name__, value): value for value in values}
    return choice(list(distinct.values()))
