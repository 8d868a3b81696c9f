"""Names of metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from servers._kit import NotFound, Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Contains, Moment, PageToken
from servers.prometheus.models import MetricMetadata, MetricName
from servers.prometheus.moments import moment_s

# What exporters append to the name that they describe: parts of a histogram or summary, a counter's total.
SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created")


@tool(effect="read", scope="prometheus:read")
async def list_metrics(
    client: Prometheus,
    match: Annotated[
        str | None, Field(max_length=2_000, description='Only metrics of these series: `{job="api"}`.')
    ] = None,
    contains: Contains = "",
    start: Annotated[Moment, Field(description=f"Seen since then. {WHEN}")] = "-1h",
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
) -> Page[MetricName]:
    """Find metrics by part of their name or by series: which metrics exist, with type, help and unit.

    The first step to a PromQL query when the metric's name is not known.
    """
    now_s = client.now_s()
    names, described = await asyncio.gather(
        client.label_values(
            "__name__", [match] if match else [], start_s=moment_s(start, now_s, name="start"), end_s=now_s
        ),
        _descriptions(client),
    )
    words = contains.lower()
    found = page_of(sorted(n for n in names if words in n.lower()), page=page, limit=limit)
    return Page(
        items=[_named(name, described) for name in found.items],
        next_page=found.next_page,
        truncated=found.truncated,
        total=found.total,
    )


async def _descriptions(client: Prometheus) -> Mapping[str, MetricMetadata]:
    try:
        return {entry.metric: entry for entry in await client.metadata(per_metric=1)}
    except NotFound:
        return {}  # Thanos and older Cortex answer the names but have no metadata


def _named(name: str, described: Mapping[str, MetricMetadata]) -> MetricName:
    stems = [name, *(name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix))]
    entry = next((described[stem] for stem in stems if stem in described), None)
    if entry is None:
        return MetricName(name=name, type=None, help=None, unit=None)
    return MetricName(name=name, type=entry.type, help=entry.help or None, unit=entry.unit or None)
