"""What needs an entity."""

from __future__ import annotations

from servers._kit import Page, page_of, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.graph import DEPENDENTS, walk
from servers.catalog.graph_models import RelationEdge
from servers.catalog.graph_views import edge_views
from servers.catalog.inputs import Depth, EntityRef, Limit, PageToken

MAX_NODES = 2_000


@tool(effect="read", scope="catalog:read")
async def list_dependents(
    client: Catalog, ref: EntityRef, depth: Depth = 1, page: PageToken = None, limit: Limit = 100
) -> Page[RelationEdge]:
    """List who depends on a service, API, database or queue: its direct consumers and users (downstream).

    Depth over 1 follows on. Use it before changing something; get_impact groups everything by owner and tier.
    """
    entity = await views.find(client, ref)
    found = await walk(client, [entity], DEPENDENTS, depth=depth, max_nodes=MAX_NODES)
    return page_of(edge_views(found), page=page, limit=limit)
