"""Alerts as Alertmanager notifies them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import Matchers, PageToken
from servers.prometheus.models_alerts import AlertGroup


@tool(effect="read", scope="prometheus:read")
async def list_alert_groups(
    client: Prometheus,
    matchers: Matchers = [],  # noqa: B006
    silenced: Annotated[bool, Field(description="False leaves silenced alerts out.")] = True,
    per_group: Annotated[int, Field(ge=1, le=200, description="Alerts per group.")] = 20,
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> Page[AlertGroup]:
    """List alerts grouped as Alertmanager notifies them, with receiver and which are silenced or inhibited.

    For who is paged, and why an alert did not notify anybody.
    """
    found = await client.alertmanager.groups([m.parse(t) for t in matchers], silenced=silenced, per_group=per_group)
    return page_of(found, page=page, limit=limit)
