"""Read a declaration again."""

from __future__ import annotations

from servers._kit import NotFound, tool
from servers._kit.failures import quote
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.file_models import Accepted
from servers.catalog.inputs import EntityRef


@tool(effect="write", scope="catalog:write", idempotent=True)
async def refresh_entity(client: Catalog, ref: EntityRef) -> Accepted:
    """Read an entity's declaration again now instead of at the next refresh, and tell whether it loads.

    Use it right after its catalog-info.yaml changed.
    """
    full = await views.full_ref(client, ref)
    await client.refresh(full)
    origin = await client.origin(full)
    if origin is None:
        raise NotFound(f"no file declares {quote(full)}")
    return Accepted(ref=full, loaded=origin.loaded, problems=views.problems(origin.problems))
