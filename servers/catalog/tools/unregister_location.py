"""Remove a registered location."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog.contract import Catalog
from servers.catalog.file_models import Deleted


@tool(effect="destructive", scope="catalog:admin")
async def unregister_location(
    client: Catalog,
    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")],  # noqa: A002
) -> Deleted:
    """Remove a registered location for good; its entities leave the catalog, its files stay as they are.

    Use it to offboard a service. get_entity_origin tells the location_id of an entity.
    """
    return Deleted(id=id, entities=list(await client.unregister(id)))
