"""What a wider stub takes: everything that may turn out to fit, and nothing else."""

from __future__ import annotations

import pytest

from portal.catalogue.shapes import ANY, STR, Atom, DictOf, Either, ListOf, Named, Shape, TupleOf, choice, either
from portal.catalogue.wide import widened

RECORDS = DictOf(ANY)


@pytest.mark.parametrize(
    ("shape", "wide"),
    [
        (STR, STR),
        (ANY, ANY),
        (choice(["a", "b"]), STR),
        (choice(["a", 1, True, None]), either([STR, Atom("int"), Atom("bool"), Atom("None")])),
        (either([choice(["a"]), Atom("None")]), either([STR, Atom("None")])),
        (Named("<Item"), RECORDS),
        (ListOf(Named("<Item")), ListOf(RECORDS)),
        (DictOf(choice(["a"])), DictOf(STR)),
        (TupleOf((Atom("float"), choice(["m"]))), Either((TupleOf((Atom("float"), STR)), ListOf(ANY)))),
    ],
)
def test_literals_become_their_kinds_and_records_dictionaries(shape: Shape, wide: Shape) -> None:
    assert widened(shape) == wide
