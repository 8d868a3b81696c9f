"""What breaks when an entity does."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.graph_models import ImpactReport
from servers.catalog.graph_views import impact
from servers.catalog.inputs import EntityRef


@tool(effect="read", scope="catalog:read")
async def get_impact(client: Catalog, ref: EntityRef, depth: Annotated[int, Field(ge=1, le=5)] = 3) -> ImpactReport:
    """Tell the blast radius of an outage or change: what breaks when an entity goes down and which teams it affects,
    everything that depends on it, directly or not, grouped by owner and tier. For a system or domain, of all its
    parts. Use it in incidents and before migrations.
    """
    return await impact(client, await views.find(client, ref), depth=depth)
