"""What a type check may take for an argument whose exact type it cannot know.

A ``str`` that was computed may be one of the literals, and a list of dictionaries that was built in a loop a list of
records: Python's types cannot say, and only the gate can tell, when it sees the values.
"""

from __future__ import annotations

from portal.catalogue.shapes import (
    ANY,
    Atom,
    Choice,
    DictOf,
    Either,
    ListOf,
    Named,
    Shape,
    TupleOf,
    either,
)

_KINDS = {"NoneType": "None"}


def widened(shape: Shape) -> Shape:  # noqa: PLR0911 - one line a kind
    """Return the type of everything that may turn out to be of type ``shape``: literals as their kinds, records as
    dictionaries, tuples as lists too.
    """
    match shape:
        case Choice():
            return either([Atom(_KINDS.get(kind, kind)) for kind in shape.kinds])
        case Named():
            return DictOf(ANY)
        case ListOf(item):
            return ListOf(widened(item))
        case DictOf(value):
            return DictOf(widened(value))
        case TupleOf(items):
            return Either((TupleOf(tuple(map(widened, items))), ListOf(ANY)))
        case Either(options):
            return either([widened(option) for option in options])
        case Atom():
            return shape
