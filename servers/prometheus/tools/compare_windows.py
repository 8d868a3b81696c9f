"""A PromQL expression now and earlier."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Literal

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Duration, Moment, PageToken, Promql
from servers.prometheus.models import Comparison, Labels, RangeSeries
from servers.prometheus.moments import duration_s, moment_s
from servers.prometheus.series_over_time import Grid, Matrix, on_grid

MAX_SERIES = 2_000
POINTS_PER_WINDOW = 60

Aggregate = Literal["avg", "min", "max", "last"]
Summaries = dict[tuple[tuple[str, str], ...], RangeSeries]
Status = Literal["both", "new", "gone", "not_finite"]


@tool(effect="read", scope="prometheus:read")
async def compare_windows(
    client: Prometheus,
    query: Promql,
    window: Duration = "1h",
    offset: Annotated[Duration, Field(description="How much earlier the window is that is compared with.")] = "1d",
    time: Annotated[Moment, Field(description=f"End of the current window. {WHEN}")] = "now",
    aggregate: Annotated[Aggregate, Field(description="How a window becomes one value.")] = "avg",
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Page[Comparison]:
    """Compare a PromQL expression with itself earlier: before and after a deploy or release, today and
    yesterday or last week.

    Answers delta and ratio per series, the largest change first. Takes an instant vector, like `rate(x[5m])`.
    """
    window_s, offset_s = duration_s(window, name="window"), duration_s(offset, name="offset")
    end_s = moment_s(time, client.now_s())
    step_s = max(1.0, round(window_s / POINTS_PER_WINDOW, 3))

    # Two range queries rather than `avg_over_time((…)[1h:] offset 1d)`: the expression is sent as it was written,
    # series keep their metric name, and vendors without subqueries can answer.
    async def during(last_s: float) -> tuple[Summaries, bool]:
        moments = Grid(max(0.0, last_s - window_s), step_s, POINTS_PER_WINDOW + 1, stride=1)
        found = await client.range(
            query, start_s=moments.start_s, end_s=max(0.0, last_s), step_s=step_s, limit=MAX_SERIES
        )
        return await asyncio.to_thread(_by_labels, found, moments), found.truncated

    (current, more), (before, more_before) = await asyncio.gather(during(end_s), during(end_s - offset_s))
    found = [
        _compared(dict(key), current.get(key), before.get(key), aggregate) for key in dict.fromkeys([*current, *before])
    ]
    found.sort(key=lambda c: abs((c.current or 0.0) - (c.before or 0.0)), reverse=True)
    answer = page_of(found, page=page, limit=limit)
    if more or more_before:
        return answer.model_copy(update={"truncated": True, "total": None})
    return answer


def _by_labels(matrix: Matrix, moments: Grid) -> Summaries:
    return {tuple(sorted(series.labels.items())): on_grid(series, moments) for series in matrix.series}


def _compared(labels: Labels, now: RangeSeries | None, then: RangeSeries | None, aggregate: Aggregate) -> Comparison:
    current: float | None = getattr(now, aggregate, None)
    before: float | None = getattr(then, aggregate, None)
    status: Status = "gone" if now is None else "new" if then is None else "both"
    if current is None or before is None:
        return Comparison(
            labels=labels,
            status="not_finite" if status == "both" else status,
            current=current,
            before=before,
            delta=None,
            ratio=None,
        )
    return Comparison(
        labels=labels,
        status=status,
        current=current,
        before=before,
        delta=_finite(current - before),
        ratio=_finite(current / before) if before else None,
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
