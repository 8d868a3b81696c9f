"""Read one entity."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import EntityRef, Path
from servers.catalog.models import Entity


@tool(effect="read", scope="catalog:read")
async def get_entity(
    client: Catalog,
    ref: EntityRef,
    fields: Annotated[list[Path], Field(max_length=50, description="Only these dotted paths.")] = [],  # noqa: B006
) -> Entity:
    """Read everything about one component, API, system, resource, group or user: owner, annotations, spec, relations.

    Use it when you know which entity you want.
    """
    return (await views.whole(client, [await views.find(client, ref)], fields))[0]
