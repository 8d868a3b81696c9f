"""Values of a label."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Contains, Moment, PageToken, Selectors
from servers.prometheus.models import LabelValue
from servers.prometheus.moments import moment_s


@tool(effect="read", scope="prometheus:read")
async def list_label_values(
    client: Prometheus,
    label: Annotated[str, Field(min_length=1, max_length=200)],
    match: Selectors = [],  # noqa: B006
    contains: Contains = "",
    start: Annotated[Moment, Field(description=WHEN)] = "-1h",
    end: Annotated[Moment, Field(description=WHEN)] = "now",
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Page[LabelValue]:
    """List the values of a label: which jobs, services, instances, environments, namespaces or status codes
    have metrics.
    """
    now_s = client.now_s()
    values = await client.label_values(
        label, match, start_s=moment_s(start, now_s, name="start"), end_s=moment_s(end, now_s, name="end")
    )
    words = contains.lower()
    found = sorted(v for v in values if words in v.lower())
    return page_of([LabelValue(value=value) for value in found], page=page, limit=limit)
