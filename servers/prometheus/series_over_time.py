"""From a range query's points to what a program reads: a chosen step, thinned values, statistics over every point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from servers._kit import InvalidInput
from servers.prometheus.models import Labels, NotFinite, RangeSeries
from servers.prometheus.moments import at

# Prometheus refuses more than 11,000 points per series (web/api/v1: "exceeded maximum resolution").
MAX_EVALUATED_POINTS = 11_000
_ROUND_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200)
_DAY_S = 86_400


Point = tuple[float, float | None, str | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query: (Unix seconds, value, raw) in the order of time."""

    labels: Labels
    points: list[Point]
    has_histograms: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a range query answered."""

    series: list[Series]
    truncated: bool
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """The moments of a range query: start, start + step_s, …; every ``stride``-th, counted from the end, is shown."""

    start_s: float
    step_s: float
    count: int
    stride: int

    @property
    def shown(self) -> range:
        """The indices of the moments that are shown: the newest always is."""
        return range((self.count - 1) % self.stride, self.count, self.stride)

    def time_s(self, index: int) -> float:
        return self.start_s + index * self.step_s


def grid(start_s: float, end_s: float, step_s: float | None, max_points: int) -> Grid:
    """Return the grid for a span: without a step the finest round one that gives at most ``max_points``.

    Raises InvalidInput for an empty span and for a step that Prometheus would refuse.
    """
    span_s = end_s - start_s
    if span_s < 0:
        raise InvalidInput("start: must not be after end")
    if step_s is None:
        step_s = round_step_s(span_s / max(1, max_points - 1))
    # Prometheus counts in milliseconds; a float quotient would lose the last point now and then.
    step_ms = max(1, round(step_s * 1000))
    count = round(span_s * 1000) // step_ms + 1
    if count > MAX_EVALUATED_POINTS:
        least = math.ceil(span_s / (MAX_EVALUATED_POINTS - 1))
        raise InvalidInput(
            f"step: {count} points per series are more than the {MAX_EVALUATED_POINTS} that Prometheus allows; "
            f"leave it out or use at least {least}s"
        )
    return Grid(start_s, step_ms / 1000, count, stride=-(-count // max_points))


def round_step_s(least_s: float) -> float:
    """Return the smallest round step of at least ``least_s``, never under a second."""
    for step_s in _ROUND_STEPS_S:
        if step_s >= least_s:
            return float(step_s)
    return float(math.ceil(least_s / _DAY_S) * _DAY_S)


def on_grid(series: Series, moments: Grid) -> RangeSeries:
    """Return one series with its values on the shown moments and its statistics over all evaluated ones."""
    by_index = {
        round((time_s - moments.start_s) / moments.step_s): (value, raw) for time_s, value, raw in series.points
    }
    values: list[float | None] = []
    not_finite: list[NotFinite] = []
    for position, index in enumerate(moments.shown):
        value, raw = by_index.get(index, (None, None))
        values.append(value)
        if raw is not None:
            not_finite.append(NotFinite(index=position, raw=raw))
    return _summarised(series, values, not_finite)


def _summarised(series: Series, values: list[float | None], not_finite: list[NotFinite]) -> RangeSeries:
    finite = _finite(series.points)
    numbers = [value for _, value in finite]
    # max() keeps the first of equals: the moment at which the peak was reached.
    peak_s, peak = max(finite, key=lambda point: point[1], default=(None, None))
    return RangeSeries(
        labels=series.labels,
        values=values,
        not_finite=not_finite,
        count=len(finite),
        min=min(numbers, default=None),
        max=peak,
        max_time=None if peak_s is None else at(peak_s),
        avg=_mean(numbers),
        last=numbers[-1] if numbers else None,
    )


def _mean(numbers: Sequence[float]) -> float | None:
    if not numbers:
        return None
    # Divided first: the sum of large finite numbers may not be finite.
    mean = math.fsum(number / len(numbers) for number in numbers)
    return mean if math.isfinite(mean) else None


def _finite(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(time_s, value) for time_s, value, _ in points if value is not None]
