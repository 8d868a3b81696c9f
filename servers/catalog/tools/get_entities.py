"""Read several entities at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import EntityRef, Path
from servers.catalog.models import Entity


@tool(effect="read", scope="catalog:read")
async def get_entities(
    client: Catalog,
    refs: Annotated[list[EntityRef], Field(min_length=1, max_length=100)],
    fields: Annotated[list[Path], Field(max_length=50, description="Only these dotted paths.")] = [],  # noqa: B006
) -> list[Entity | None]:
    """Read the details of many entities in one call, in the order of refs; null in place of one that does not exist.

    Use it instead of get_entity in a loop.
    """
    found = await views.find_all(client, refs)
    shown = iter(await views.whole(client, [entity for entity in found if entity is not None], fields))
    return [None if entity is None else next(shown) for entity in found]
