"""``histogram_quantile`` over classic buckets, interpolated as Prometheus does it."""

from __future__ import annotations

import math
from bisect import bisect_left

from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector, distinct
from servers.prometheus.emulator.promql.labels import NAME, Labels, get, without

Bucket = tuple[float, float]
"""(upper bound, cumulative count)"""


def histogram_quantile(quantiles: Scalar, vector: Vector, steps: Steps) -> Vector:
    """Return one column per histogram; series without a numeric ``le`` are left out."""
    groups: dict[Labels, list[tuple[float, Column]]] = {}
    for column in vector:
        bound = _bound(get(column.labels, "le"))
        if bound is not None:
            groups.setdefault(without(column.labels, {NAME, "le"}), []).append((bound, column))
    found = []
    for labels, bounds in groups.items():
        values: list[float | None] = []
        for step in range(steps.count):
            buckets = [(le, count) for le, c in bounds if (count := c.values[step]) is not None]
            values.append(bucket_quantile(quantiles.values[step], buckets) if buckets else None)
        found.append(Column(labels, values))
    return distinct(found)


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def bucket_quantile(q: float, buckets: list[Bucket]) -> float:
    """Return the quantile of cumulative buckets; NaN where they say nothing."""
    if math.isnan(q):
        return math.nan
    if not 0 <= q <= 1:
        return -math.inf if q < 0 else math.inf
    merged = _monotonic(buckets)
    if len(merged) < 2 or merged[-1][0] != math.inf or merged[-1][1] == 0 or math.isnan(merged[-1][1]):
        return math.nan
    rank = q * merged[-1][1]
    index = bisect_left([count for _, count in merged[:-1]], rank)
    if index == len(merged) - 1:
        return merged[-2][0]
    upper, count = merged[index]
    if index == 0 and upper <= 0:
        return upper
    lower, below = merged[index - 1] if index else (0.0, 0.0)
    return lower + (upper - lower) * _ratio(rank - below, count - below)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _monotonic(buckets: list[Bucket]) -> list[Bucket]:
    """Return the buckets sorted, equal bounds added up, counts never falling (scrapes are not atomic)."""
    found: list[Bucket] = []
    for bound, count in sorted(buckets):
        if found and found[-1][0] == bound:
            found[-1] = (bound, found[-1][1] + count)
        else:
            found.append((bound, count))
    highest = -math.inf
    for i, (bound, count) in enumerate(found):
        highest = max(highest, count)
        found[i] = (bound, highest)
    return found
