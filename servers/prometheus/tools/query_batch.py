"""Several PromQL expressions at one moment."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from servers._kit import ToolFailure, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Moment, Promql
from servers.prometheus.models import InstantResult, QueryError
from servers.prometheus.moments import moment_s


@tool(effect="read", scope="prometheus:read")
async def query_batch(
    client: Prometheus,
    queries: Annotated[list[Promql], Field(min_length=1, max_length=10)],
    time: Annotated[Moment, Field(description=WHEN)] = "now",
    limit: Annotated[int, Field(ge=1, le=1_000, description="Samples per query.")] = 100,
) -> list[InstantResult]:
    """Run up to 10 PromQL instant queries at once, all at the same moment, answered in their order.

    For an overview such as traffic, errors and latency together. A query that fails has `error` set; the others answer.
    """
    # One moment for all: their values can be divided by one another.
    time_s = moment_s(time, client.now_s())

    async def answered(query: str) -> InstantResult:
        try:
            return await client.instant(query, limit=limit, time_s=time_s)
        except ToolFailure as failure:
            error = QueryError(kind=failure.kind, message=failure.message)
            return InstantResult(query=query, kind=None, samples=[], truncated=False, warnings=[], error=error)

    return await asyncio.gather(*map(answered, queries))
