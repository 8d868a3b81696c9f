"""Silences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import Matchers, PageToken
from servers.prometheus.models_alerts import Silence


@tool(effect="read", scope="prometheus:read")
async def list_silences(
    client: Prometheus,
    state: Annotated[
        Literal["active", "pending", "expired", "any"] | None, Field(description="Default: active and pending.")
    ] = None,
    matchers: Matchers = [],  # noqa: B006
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Page[Silence]:
    """List silences of Alertmanager: which alerts are muted, by whom, why and until when; the next to end first."""
    states = {None: {"active", "pending"}, "any": {"active", "pending", "expired"}}.get(state, {state})
    found = [s for s in await client.alertmanager.silences([m.parse(t) for t in matchers]) if s.state in states]
    found.sort(key=lambda s: (s.state == "expired", s.ends, s.id))
    return page_of(found, page=page, limit=limit)
