"""One PromQL expression over time."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Duration, Moment, Promql
from servers.prometheus.models import RangeResult
from servers.prometheus.moments import at, duration_s, moment_s
from servers.prometheus.series_over_time import grid, on_grid


@tool(effect="read", scope="prometheus:read")
async def query_range(
    client: Prometheus,
    query: Promql,
    start: Annotated[Moment, Field(description=WHEN)] = "-1h",
    end: Annotated[Moment, Field(description=WHEN)] = "now",
    step: Annotated[Duration | None, Field(description="Default: chosen so that max_points is kept.")] = None,
    max_points: Annotated[int, Field(ge=2, le=1_000, description="Values per series.")] = 200,
    limit: Annotated[int, Field(ge=1, le=200, description="Number of series.")] = 20,
) -> RangeResult:
    """Run a PromQL range query: how metrics developed over time, with min, max, avg and last of each series.

    For trends, graphs, spikes, when something began. All series share `times`.
    """
    now_s = client.now_s()
    start_s, end_s = moment_s(start, now_s, name="start"), moment_s(end, now_s, name="end")
    moments = grid(start_s, end_s, None if step is None else duration_s(step, name="step"), max_points)
    matrix = await client.range(query, start_s=start_s, end_s=end_s, step_s=moments.step_s, limit=limit)
    warnings = list(matrix.warnings)
    if any(found.has_histograms for found in matrix.series):
        warnings.append(
            "native histograms have no values here; use histogram_quantile, histogram_count or histogram_sum"
        )
    series = await asyncio.to_thread(lambda: [on_grid(found, moments) for found in matrix.series])
    return RangeResult(
        query=query,
        start=at(start_s),
        end=at(end_s),
        step_s=moments.step_s * moments.stride,
        evaluated_step_s=moments.step_s,
        times=[at(moments.time_s(index)) for index in moments.shown],
        series=series,
        truncated=matrix.truncated,
        warnings=warnings,
    )
