"""Walk any relations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.graph import walk
from servers.catalog.graph_models import Graph
from servers.catalog.graph_views import edge_views, node_views
from servers.catalog.inputs import Depth, EntityRef, RelationType
from servers.catalog.relations import OPPOSITE


@tool(effect="read", scope="catalog:read")
async def walk_relations(
    client: Catalog,
    ref: EntityRef,
    types: Annotated[list[RelationType], Field(max_length=14, description="None given: every relation.")] = [],  # noqa: B006
    direction: Literal["outgoing", "incoming", "both"] = "outgoing",
    depth: Depth = 2,
    max_nodes: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Graph:
    """Walk the relation graph from an entity, breadth first, along chosen relation types and direction.

    Use it for a map around an entity; incoming follows the opposite relation, as hasPart for partOf.
    """
    entity = await views.find(client, ref)
    asked: list[str] = list(types) or list(OPPOSITE)
    back = [OPPOSITE[kind] for kind in asked]
    chosen = {"outgoing": asked, "incoming": back, "both": [*asked, *back]}[direction]
    found = await walk(client, [entity], chosen, depth=depth, max_nodes=max_nodes)
    return Graph(
        start=entity.ref,
        nodes=node_views(client, found),
        edges=edge_views(found),
        truncated=found.truncated,
    )
