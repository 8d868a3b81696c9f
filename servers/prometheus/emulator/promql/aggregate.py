"""Aggregations: groups of columns to one column, or to the best of them (``topk``, ``bottomk``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector
from servers.prometheus.emulator.promql.labels import NAME, Labels, only, without
from servers.prometheus.emulator.promql.nodes import Aggregation
from servers.prometheus.emulator.promql.windows import quantile


def aggregate(node: Aggregation, columns: Vector, parameter: Scalar | None, steps: Steps) -> Vector:
    """Return the aggregation of the columns, by group."""
    groups: dict[Labels, Vector] = {}
    for column in columns:
        groups.setdefault(_key(node, column.labels), []).append(column)
    if parameter is not None and node.operator != "quantile":
        return [c for group in groups.values() for c in _best(node.operator, group, parameter, steps)]
    return [Column(key, _reduced(node.operator, group, parameter, steps)) for key, group in groups.items()]


def _key(node: Aggregation, labels: Labels) -> Labels:
    if node.without:
        return without(labels, {NAME, *node.grouping})
    return only(labels, node.grouping)


def _reduced(operator: str, group: Vector, parameter: Scalar | None, steps: Steps) -> list[float | None]:
    reduce = REDUCTIONS.get(operator)
    found: list[float | None] = []
    for step in range(steps.count):
        values = [value for column in group if (value := column.values[step]) is not None]
        if not values:
            found.append(None)
        elif reduce is None:
            found.append(quantile(parameter.values[step] if parameter else math.nan, values))
        else:
            found.append(reduce(values))
    return found


def _best(operator: str, group: Vector, parameter: Scalar, steps: Steps) -> Vector:
    """Return at most k columns per step, keeping their labels; an instant result comes best first."""
    sign = -1 if operator == "topk" else 1
    kept: list[list[float | None]] = [[None] * steps.count for _ in group]
    order: list[int] = []
    for step in range(steps.count):
        k = parameter.values[step]
        present = [i for i, column in enumerate(group) if column.values[step] is not None]
        present.sort(key=lambda i: _rank(group[i].values[step], sign))
        order = present[: max(0, int(min(k, len(group))))] if not math.isnan(k) else []
        for i in order:
            kept[i][step] = group[i].values[step]
    indices = order if steps.count == 1 else range(len(group))
    return [Column(group[i].labels, kept[i]) for i in indices if any(v is not None for v in kept[i])]


def _rank(value: float | None, sign: int) -> tuple[bool, float]:
    number = math.nan if value is None else value
    return (True, 0.0) if math.isnan(number) else (False, sign * number)


def _minimum(values: Sequence[float]) -> float:
    return min((v for v in values if not math.isnan(v)), default=math.nan)


def _maximum(values: Sequence[float]) -> float:
    return max((v for v in values if not math.isnan(v)), default=math.nan)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


REDUCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "avg": _mean,
    "min": _minimum,
    "max": _maximum,
    "count": lambda values: float(len(values)),
    "group": lambda _values: 1.0,
    "stddev": lambda values: math.sqrt(_variance(values)),
    "stdvar": _variance,
}
