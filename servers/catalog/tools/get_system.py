"""Read a system and its parts."""

from __future__ import annotations

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import SystemRef
from servers.catalog.models import SystemView
from servers.catalog.predicates import field_is

MAX_PARTS = 300


@tool(effect="read", scope="catalog:read")
async def get_system(client: Catalog, system: SystemRef) -> SystemView:
    """Read a system (product, application) with its parts: components, APIs, resources, owner and domain.

    Use it for an overview of what a system is made of.
    """
    entity = await views.find(client, system, "System")
    found = await client.query([field_is("relations.partOf", entity.ref)], limit=MAX_PARTS)
    parts = [views.summary(client, part) for part in found.entities]
    return SystemView(
        ref=entity.ref,
        title=views.title(entity),
        description=views.text(entity, "metadata.description"),
        owner=views.owner(entity),
        domain=views.part_of(entity, "domain"),
        components=[part for part in parts if part.kind == "Component"],
        apis=[part for part in parts if part.kind == "API"],
        resources=[part for part in parts if part.kind == "Resource"],
        other=[part for part in parts if part.kind not in {"Component", "API", "Resource"}],
        truncated=found.total > len(parts),
    )
