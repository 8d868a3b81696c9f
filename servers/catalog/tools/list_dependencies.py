"""What an entity needs."""

from __future__ import annotations

from servers._kit import Page, page_of, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.graph import DEPENDENCIES, walk
from servers.catalog.graph_models import RelationEdge
from servers.catalog.graph_views import edge_views
from servers.catalog.inputs import Depth, EntityRef, Limit, PageToken

MAX_NODES = 2_000


@tool(effect="read", scope="catalog:read")
async def list_dependencies(
    client: Catalog, ref: EntityRef, depth: Depth = 1, page: PageToken = None, limit: Limit = 100
) -> Page[RelationEdge]:
    """List what a service needs: the components, databases, queues and APIs it depends on or consumes (upstream).

    Depth over 1 follows on, through an API to its provider. Use it to see what may have broken a service.
    """
    entity = await views.find(client, ref)
    found = await walk(client, [entity], DEPENDENCIES, depth=depth, max_nodes=MAX_NODES)
    return page_of(edge_views(found), page=page, limit=limit)
