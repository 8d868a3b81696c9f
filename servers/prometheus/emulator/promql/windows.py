"""Functions of a range: the samples of one series in one window to one value, or None where there is none.

``rate`` and its kin extrapolate to the edges of the window exactly as Prometheus does, counter resets included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple


class Window(NamedTuple):
    """Samples of one series within [start_ms, end_ms], oldest first, at least one."""

    times_ms: Sequence[int]
    values: Sequence[float]
    start_ms: int
    end_ms: int


WindowFunction = Callable[[Window], float | None]


def extrapolated(window: Window, *, counter: bool, per_second: bool) -> float | None:
    """Return the change over the whole window, as if its first and last samples lay on its edges."""
    times, values = window.times_ms, window.values
    if len(values) < 2:
        return None
    change = values[-1] - values[0]
    if counter:
        change += sum(before for before, after in pairwise(values) if after < before)
    sampled_s = (times[-1] - times[0]) / 1_000
    between_s = sampled_s / (len(values) - 1)
    to_start_s = (times[0] - window.start_ms) / 1_000
    to_end_s = (window.end_ms - times[-1]) / 1_000
    if counter and change > 0 and values[0] >= 0:
        # A counter is never extrapolated below zero.
        to_start_s = min(to_start_s, sampled_s * (values[0] / change))
    reach_s = between_s * 1.1
    covered_s = sampled_s
    covered_s += to_start_s if to_start_s < reach_s else between_s / 2
    covered_s += to_end_s if to_end_s < reach_s else between_s / 2
    factor = covered_s / sampled_s
    if per_second:
        factor /= (window.end_ms - window.start_ms) / 1_000
    return change * factor


def _irate(window: Window) -> float | None:
    if len(window.values) < 2:
        return None
    before, after = window.values[-2:]
    elapsed_s = (window.times_ms[-1] - window.times_ms[-2]) / 1_000
    return (after if after < before else after - before) / elapsed_s


def _idelta(window: Window) -> float | None:
    return window.values[-1] - window.values[-2] if len(window.values) > 1 else None


def regression(window: Window, zero_ms: int) -> tuple[float, float] | None:
    """Return (slope per second, value at ``zero_ms``) of the least-squares line, or None below two samples."""
    if len(window.values) < 2:
        return None
    seconds = [(t - zero_ms) / 1_000 for t in window.times_ms]
    if all(value == window.values[0] for value in window.values):
        return 0.0, window.values[0]
    mean_x, mean_y = fmean(seconds), fmean(window.values)
    variance = sum((x - mean_x) ** 2 for x in seconds)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(seconds, window.values, strict=True)) / variance
    return slope, mean_y - slope * mean_x


def _deriv(window: Window) -> float | None:
    line = regression(window, window.times_ms[0])
    return None if line is None else line[0]


def _extreme(values: Sequence[float], better: Callable[[float, float], bool]) -> float:
    best = values[0]
    for value in values[1:]:
        if better(value, best) or math.isnan(best):
            best = value
    return best


def _stddev(window: Window) -> float:
    mean = _mean(window.values)
    return math.sqrt(_mean([(value - mean) ** 2 for value in window.values]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def quantile(q: float, values: Sequence[float]) -> float:
    """Return the quantile of unsorted values, interpolated; infinite outside [0, 1], NaN of nothing."""
    if not values or math.isnan(q):
        return math.nan
    if q < 0:
        return -math.inf
    if q > 1:
        return math.inf
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight


WINDOW_FUNCTIONS: dict[str, WindowFunction] = {
    "rate": lambda w: extrapolated(w, counter=True, per_second=True),
    "increase": lambda w: extrapolated(w, counter=True, per_second=False),
    "delta": lambda w: extrapolated(w, counter=False, per_second=False),
    "irate": _irate,
    "idelta": _idelta,
    "deriv": _deriv,
    "changes": lambda w: float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairwise(w.values))),
    "resets": lambda w: float(sum(after < before for before, after in pairwise(w.values))),
    "avg_over_time": lambda w: _mean(w.values),
    "sum_over_time": lambda w: sum(w.values),
    "min_over_time": lambda w: _extreme(w.values, lambda a, b: a < b),
    "max_over_time": lambda w: _extreme(w.values, lambda a, b: a > b),
    "count_over_time": lambda w: float(len(w.values)),
    "last_over_time": lambda w: w.values[-1],
    "present_over_time": lambda _w: 1.0,
    "stddev_over_time": _stddev,
}
