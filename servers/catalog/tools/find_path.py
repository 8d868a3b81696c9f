"""How one entity reaches another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.graph import DEPENDENCIES, shortest_paths, walk
from servers.catalog.graph_models import Path
from servers.catalog.graph_views import path_view
from servers.catalog.inputs import EntityRef
from servers.catalog.relations import OPPOSITE

MAX_DEPTH = 10
MAX_NODES = 5_000


@tool(effect="read", scope="catalog:read")
async def find_path(
    client: Catalog,
    source: EntityRef,
    target: EntityRef,
    along: Annotated[Literal["dependencies", "any"], Field(description="any: every relation, as ownership.")] = (
        "dependencies"
    ),
    max_paths: Annotated[int, Field(ge=1, le=20)] = 5,
) -> list[Path]:
    """Find the shortest ways from one entity to another: how does service A reach database B, or call API C.

    An empty list means that there is no way; try along="any" or the other direction.
    """
    start = await views.find(client, source)
    goal = await views.find(client, target)
    types = DEPENDENCIES if along == "dependencies" else tuple(OPPOSITE)
    found = await walk(client, [start], types, depth=MAX_DEPTH, max_nodes=MAX_NODES, goal=goal.ref)
    return [path_view(found, path) for path in shortest_paths(found, start.ref, goal.ref, limit=max_paths)]
