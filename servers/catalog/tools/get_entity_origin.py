"""Where an entity is declared."""

from __future__ import annotations

from servers._kit import NotFound, tool
from servers._kit.failures import quote
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.file_models import Ancestry, OriginStep
from servers.catalog.inputs import EntityRef


@tool(effect="read", scope="catalog:read")
async def get_entity_origin(client: Catalog, ref: EntityRef) -> Ancestry:
    """Tell which YAML file and line define an entity, through which Locations, and what is wrong there.

    Use it when an entity is missing or outdated: a whole ref also finds one that is too broken to load.
    """
    full = await views.full_ref(client, ref)
    origin = await client.origin(full)
    if origin is None:
        raise NotFound(f"no file declares {quote(full)}")
    last = origin.steps[-1] if origin.steps else None
    return Ancestry(
        ref=full,
        loaded=origin.loaded,
        file=last.file if last else next((p.file for p in origin.problems), None),
        line=last.line if last else next((p.line for p in origin.problems), None),
        steps=[OriginStep(file=step.file, line=step.line, ref=step.ref) for step in origin.steps],
        location_id=origin.location_id,
        problems=views.problems(origin.problems),
    )
