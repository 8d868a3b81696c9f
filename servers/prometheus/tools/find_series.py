"""Label sets of series."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Moment, PageToken, RequiredSelectors
from servers.prometheus.models import LabelSet
from servers.prometheus.moments import moment_s

MAX_SERIES = 5_000


@tool(effect="read", scope="prometheus:read")
async def find_series(
    client: Prometheus,
    match: RequiredSelectors,
    start: Annotated[Moment, Field(description=WHEN)] = "-1h",
    end: Annotated[Moment, Field(description=WHEN)] = "now",
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
) -> Page[LabelSet]:
    """Find time series by selector and see all their labels: which combinations exist, without values."""
    now_s = client.now_s()
    found = await client.series(
        match,
        start_s=moment_s(start, now_s, name="start"),
        end_s=moment_s(end, now_s, name="end"),
        limit=MAX_SERIES,
    )
    found.sort(key=lambda labels: sorted(labels.items()))
    answer = page_of([LabelSet(labels=labels) for labels in found], page=page, limit=limit)
    if len(found) == MAX_SERIES:
        return answer.model_copy(update={"truncated": True, "total": None})
    return answer
