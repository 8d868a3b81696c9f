"""Names of labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Moment, PageToken, Selectors
from servers.prometheus.models import LabelName
from servers.prometheus.moments import moment_s


@tool(effect="read", scope="prometheus:read")
async def list_label_names(
    client: Prometheus,
    match: Selectors = [],  # noqa: B006
    start: Annotated[Moment, Field(description=WHEN)] = "-1h",
    end: Annotated[Moment, Field(description=WHEN)] = "now",
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Page[LabelName]:
    """List the label names of series: by what a metric can be filtered and grouped (dimensions)."""
    now_s = client.now_s()
    names = await client.label_names(
        match, start_s=moment_s(start, now_s, name="start"), end_s=moment_s(end, now_s, name="end")
    )
    return page_of([LabelName(name=name) for name in sorted(names)], page=page, limit=limit)
