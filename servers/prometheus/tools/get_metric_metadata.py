"""What exporters say about metrics."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import PageToken
from servers.prometheus.models import MetricMetadata

MAX_PER_METRIC = 10


@tool(effect="read", scope="prometheus:read")
async def get_metric_metadata(
    client: Prometheus,
    metric: Annotated[
        str | None, Field(max_length=300, description="Without `_bucket`, `_sum`, `_count`. Default: all metrics.")
    ] = None,
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
) -> Page[MetricMetadata]:
    """Read what a metric means: its type (counter, gauge, histogram), help text and unit.

    Decides between rate() and the plain value. Empty when no target describes the metric.
    """
    return page_of(await client.metadata(metric, per_metric=MAX_PER_METRIC), page=page, limit=limit)
