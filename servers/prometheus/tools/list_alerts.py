"""Active alerts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import Matchers, PageToken
from servers.prometheus.models_alerts import Alert


@tool(effect="read", scope="prometheus:read")
async def list_alerts(
    client: Prometheus,
    state: Literal["pending", "firing"] | None = None,
    labels: Matchers = [],  # noqa: B006
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Page[Alert]:
    """List active alerts, firing and pending, filtered by labels such as severity, service or team.

    "What is broken right now?" Firing ones first, the oldest first.
    """
    wanted = m.tests([m.parse(text) for text in labels])
    found = [
        alert
        for alert in await client.discovery.alerts()
        if (state is None or alert.state == state) and wanted(alert.labels)
    ]
    found.sort(key=lambda a: (a.state != "firing", a.since.timestamp() if a.since else 0.0, a.name))
    return page_of(found, page=page, limit=limit)
