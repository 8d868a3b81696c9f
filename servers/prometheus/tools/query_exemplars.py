"""Traces behind a metric."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Moment, PageToken, Promql
from servers.prometheus.models import ExemplarSeries
from servers.prometheus.moments import moment_s


@tool(effect="read", scope="prometheus:read")
async def query_exemplars(
    client: Prometheus,
    query: Promql,
    start: Annotated[Moment, Field(description=WHEN)] = "-1h",
    end: Annotated[Moment, Field(description=WHEN)] = "now",
    per_series: Annotated[int, Field(ge=1, le=200, description="Exemplars per series.")] = 20,
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=100, description="Number of series.")] = 20,
) -> Page[ExemplarSeries]:
    """Find trace ids behind a metric: exemplars that link slow or failed requests to traces (Tempo, Jaeger).

    Empty when the exporter sends none or exemplar storage is off.
    """
    now_s = client.now_s()
    found = await client.exemplars(
        query,
        start_s=moment_s(start, now_s, name="start"),
        end_s=moment_s(end, now_s, name="end"),
        per_series=per_series,
    )
    return page_of(found, page=page, limit=limit)
