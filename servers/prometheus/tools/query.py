"""One PromQL expression at one moment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Duration, Moment, Promql
from servers.prometheus.models import InstantResult
from servers.prometheus.moments import duration_s, moment_s


@tool(effect="read", scope="prometheus:read")
async def query(
    client: Prometheus,
    query: Promql,
    time: Annotated[Moment | None, Field(description=f"{WHEN} Default: now.")] = None,
    timeout: Annotated[Duration | None, Field(description="How long Prometheus may work on it.")] = None,  # noqa: ASYNC109
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100,
) -> InstantResult:
    """Run a PromQL instant query: the value of metrics now or at one moment.

    For current rates (requests per second), error ratios, latency, CPU, memory, disk space, counts per
    service. For trends use query_range.
    """
    return await client.instant(
        query,
        limit=limit,
        time_s=None if time is None else moment_s(time, client.now_s()),
        timeout_s=None if timeout is None else duration_s(timeout, name="timeout"),
    )
