"""What a team or person owns."""

from __future__ import annotations

from servers._kit import Page, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Kinds, Limit, OwnerRef, PageToken
from servers.catalog.listing import listed
from servers.catalog.models import EntitySummary
from servers.catalog.people import with_child_groups
from servers.catalog.predicates import field_is


@tool(effect="read", scope="catalog:read")
async def list_owned_entities(
    client: Catalog,
    owner: OwnerRef,
    kinds: Kinds = [],  # noqa: B006 (pydantic copies a default)
    include_child_groups: bool = False,
    page: PageToken = None,
    limit: Limit = 50,
) -> Page[EntitySummary]:
    """List everything of an owner: the services, APIs, systems and resources that a team or person owns. With
    include_child_groups also what the groups below own. Use it for "what does team X run".
    """
    entity = await views.find(client, owner, "Group", "User")
    owners = await with_child_groups(client, entity) if include_child_groups else [entity.ref]
    rules = [field_is("relations.ownedBy", *owners), *([field_is("kind", *kinds)] if kinds else [])]
    return await listed(client, rules, page=page, limit=limit)
