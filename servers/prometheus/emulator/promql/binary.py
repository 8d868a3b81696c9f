"""Binary operations: numbers, a vector with a number, and two vectors that find each other by their labels."""

from __future__ import annotations

from collections.abc import Sequence

from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector, distinct, shown
from servers.prometheus.emulator.promql.errors import ExecutionError
from servers.prometheus.emulator.promql.labels import NAME, Labels, get, labels_of, only, without, without_name
from servers.prometheus.emulator.promql.nodes import COMPARISON, SETS, Binary, Matching
from servers.prometheus.emulator.promql.operators import operate

_DEFAULT = Matching("one-to-one", on=False, labels=(), include=())


def combine(node: Binary, left: Vector | Scalar, right: Vector | Scalar, steps: Steps) -> Vector | Scalar:
    """Return the operation's result. Raises ExecutionError when labels do not match one to one as they must."""
    match left, right:
        case Scalar(), Scalar():
            return Scalar([_number(node, a, b) for a, b in zip(left.values, right.values, strict=True)])
        case Scalar(), list():
            return _with_number(node, right, left, number_first=True)
        case list(), Scalar():
            return _with_number(node, left, right, number_first=False)
        case list(), list():
            matching = node.matching or _DEFAULT
            if node.operator in SETS:
                return _set(node.operator, left, right, matching, steps)
            return _matched(node, left, right, matching, steps)
    raise AssertionError


def _number(node: Binary, a: float, b: float) -> float:
    # The parser admits comparisons of two numbers with `bool` only, so there is always a value.
    return operate(node.operator, a, b, returns_bool=True) or 0.0


def _with_number(node: Binary, vector: Vector, number: Scalar, *, number_first: bool) -> Vector:
    found = []
    for column in vector:
        values: list[float | None] = []
        for value, other in zip(column.values, number.values, strict=True):
            if value is None:
                values.append(None)
                continue
            a, b = (other, value) if number_first else (value, other)
            result = operate(node.operator, a, b, returns_bool=node.returns_bool)
            # A filter keeps the vector's value, on whichever side it stands.
            keeps_own = result is not None and node.operator in COMPARISON and not node.returns_bool
            values.append(value if keeps_own else result)
        found.append(Column(_result_name(node, column.labels), values))
    return distinct(found)


def _result_name(node: Binary, labels: Labels) -> Labels:
    return labels if node.operator in COMPARISON and not node.returns_bool else without_name(labels)


def _signature(matching: Matching, labels: Labels) -> Labels:
    return only(labels, matching.labels) if matching.on else without(labels, {NAME, *matching.labels})


def _by_signature(matching: Matching, columns: Vector) -> dict[Labels, Vector]:
    found: dict[Labels, Vector] = {}
    for column in columns:
        found.setdefault(_signature(matching, column.labels), []).append(column)
    return found


def _set(operator: str, left: Vector, right: Vector, matching: Matching, steps: Steps) -> Vector:
    others = _by_signature(matching, left if operator == "or" else right)
    kept = right if operator == "or" else left
    wanted = operator == "and"
    found = list(left) if operator == "or" else []
    for column in kept:
        matches = others.get(_signature(matching, column.labels), [])
        there = [any(other.values[step] is not None for other in matches) for step in range(steps.count)]
        values = [value if seen == wanted else None for value, seen in zip(column.values, there, strict=True)]
        found.append(Column(column.labels, values))
    return distinct(found)


def _matched(node: Binary, left: Vector, right: Vector, matching: Matching, steps: Steps) -> Vector:
    swapped = matching.cardinality == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    ones = _by_signature(matching, one)
    chosen = {
        signature: _single(group, signature, steps, "left" if swapped else "right") for signature, group in ones.items()
    }
    taken: dict[Labels, list[Sequence[float | None]]] = {}
    found = []
    for column in many:
        signature = _signature(matching, column.labels)
        partners = chosen.get(signature)
        if partners is None:
            continue
        for partner in ones[signature]:
            values = _pairwise(node, column, partner, swapped=swapped)
            if any(value is not None for value in values):
                labels = _result_labels(node, matching, column.labels, partner.labels)
                _claim(taken, matching, signature, labels, values)
                found.append(Column(labels, values))
    return distinct(found)


def _pairwise(node: Binary, many: Column, one: Column, *, swapped: bool) -> list[float | None]:
    values: list[float | None] = []
    for a, b in zip(many.values, one.values, strict=True):
        if a is None or b is None:
            values.append(None)
        else:
            left, right = (b, a) if swapped else (a, b)
            values.append(operate(node.operator, left, right, returns_bool=node.returns_bool))
    return values


def _single(group: Vector, signature: Labels, steps: Steps, side: str) -> Vector:
    """Return the group if at most one of it is present at each step."""
    if len(group) > 1:
        for step in range(steps.count):
            present = [column for column in group if column.values[step] is not None]
            if len(present) > 1:
                both = f"[{shown(present[1].labels)}, {shown(present[0].labels)}]"
                raise ExecutionError(
                    f"found duplicate series for the match group {shown(signature)} on the {side} hand-side of the "
                    f"operation: {both};many-to-many matching not allowed: matching labels must be unique on one side"
                )
    return group


def _claim(
    taken: dict[Labels, list[Sequence[float | None]]],
    matching: Matching,
    signature: Labels,
    labels: Labels,
    values: Sequence[float | None],
) -> None:
    """Raises ExecutionError when two series would become one in the same step."""
    one_to_one = matching.cardinality == "one-to-one"
    earlier = taken.setdefault(signature if one_to_one else labels, [])
    for others in earlier:
        if any(a is not None and b is not None for a, b in zip(others, values, strict=True)):
            reason = (
                "many-to-one matching must be explicit (group_left/group_right)"
                if one_to_one
                else "grouping labels must ensure unique matches"
            )
            raise ExecutionError(f"multiple matches for labels: {reason}")
    earlier.append(values)


def _result_labels(node: Binary, matching: Matching, many: Labels, one: Labels) -> Labels:
    labels = _result_name(node, many)
    if matching.cardinality == "one-to-one":
        labels = only(labels, matching.labels) if matching.on else without(labels, matching.labels)
    if not matching.include:
        return labels
    values = dict(labels)
    values.update({name: get(one, name) for name in matching.include})
    return labels_of(values)
