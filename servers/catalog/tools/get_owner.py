"""Who answers for an entity."""

from __future__ import annotations

from servers._kit import NotFound, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import EntityRef
from servers.catalog.models import Owner
from servers.catalog.people import owner_of


@tool(effect="read", scope="catalog:read")
async def get_owner(client: Catalog, ref: EntityRef) -> Owner:
    """Tell who owns and is responsible for a service, API or system: the team, its members, email, chat (Slack) channel
    and on-call links.

    Use it to learn whom to ask or page. A group or user is its own owner.
    """
    entity = await views.find(client, ref)
    if entity.kind in {"Group", "User"}:
        return await owner_of(client, entity.ref)
    owner = views.owner(entity)
    if owner is None:
        raise NotFound(f"{entity.ref} has no owner")
    return await owner_of(client, owner)
