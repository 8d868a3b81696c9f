"""What Prometheus scrapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import page_of, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import PageToken
from servers.prometheus.models_alerts import TargetSummary

FAILING_FIRST = {"down": 0, "unknown": 1, "up": 2, "dropped": 3}


@tool(effect="read", scope="prometheus:read")
async def list_targets(
    client: Prometheus,
    state: Annotated[
        Literal["active", "dropped", "any"], Field(description="dropped: found by discovery, removed by relabelling.")
    ] = "active",
    pool: Annotated[str | None, Field(max_length=300, description="Scrape pool, usually the job.")] = None,
    unhealthy_only: bool = False,
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
) -> TargetSummary:
    """See what Prometheus scrapes and which targets are down, with the scrape error; failing ones come first.

    For a service without metrics, exporter outages, `up == 0`.
    """
    targets, dropped = await client.discovery.targets(state=state, pool=pool)
    counts = dict.fromkeys(FAILING_FIRST, 0)
    for target in targets:
        counts[target.health] = counts.get(target.health, 0) + 1
    shown = [t for t in targets if not unhealthy_only or t.health not in {"up", "dropped"}]
    shown.sort(key=lambda t: (FAILING_FIRST.get(t.health, 1), t.pool, t.url))
    return TargetSummary(
        up=counts["up"],
        down=counts["down"],
        unknown=counts["unknown"],
        dropped=dropped,
        pools=sorted({t.pool for t in targets}),
        targets=page_of(shown, page=page, limit=limit),
    )
