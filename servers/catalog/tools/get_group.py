"""Read a team."""

from __future__ import annotations

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import GroupRef
from servers.catalog.models import Group
from servers.catalog.people import members_of


@tool(effect="read", scope="catalog:read")
async def get_group(client: Catalog, group: GroupRef) -> Group:
    """Read a team or group: its members, parent and child groups, email, chat and on-call links.

    Use it for questions about the organisation and who is in a team.
    """
    entity = await views.find(client, group, "Group")
    return Group(
        ref=entity.ref,
        name=entity.name,
        title=views.title(entity),
        description=views.text(entity, "metadata.description"),
        type=views.text(entity, "spec.type"),
        email=views.text(entity, "spec.profile.email"),
        parent=next(iter(entity.targets("childOf")), None),
        children=entity.targets("parentOf"),
        members=await members_of(client, entity),
        links=views.links(entity),
        owned=len(entity.targets("ownerOf")),
    )
