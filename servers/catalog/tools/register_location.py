"""Add entity files to the catalog."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.file_models import Location


@tool(effect="write", scope="catalog:write", idempotent=True)
async def register_location(
    client: Catalog,
    target: Annotated[
        str,
        Field(
            min_length=1, max_length=500, pattern=r"^[^/].*", description="File or glob, relative to the root folder."
        ),
    ],
    dry_run: Annotated[bool, Field(description="Only tell what it would bring.")] = False,
) -> Location:
    """Register a catalog-info file, so that its entities appear in the catalog and stay after a restart.

    Use it to onboard a service; dry_run first shows its entities and faults.
    """
    found = await client.register(target, dry_run=dry_run)
    return Location(
        id=found.location_id,
        type="file",
        target=found.target,
        created=found.created,
        dry_run=dry_run,
        entities=list(found.entities),
        problems=views.problems(found.problems),
    )
