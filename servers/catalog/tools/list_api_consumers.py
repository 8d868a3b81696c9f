"""Who calls an API."""

from __future__ import annotations

from servers._kit import Page, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import ApiRef, Limit, PageToken
from servers.catalog.listing import listed
from servers.catalog.models import EntitySummary
from servers.catalog.predicates import field_is


@tool(effect="read", scope="catalog:read")
async def list_api_consumers(
    client: Catalog, api: ApiRef, page: PageToken = None, limit: Limit = 50
) -> Page[EntitySummary]:
    """List the components that consume or call an API, with their owners.

    Use it before a breaking change, to know whom to tell.
    """
    entity = await views.find(client, api, "API")
    return await listed(client, [field_is("relations.consumesApi", entity.ref)], page=page, limit=limit)
