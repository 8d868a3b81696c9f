"""Full-text search over the catalog."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Kinds, Limit, PageToken
from servers.catalog.models import EntityHit


@tool(effect="read", scope="catalog:read")
async def search_entities(
    client: Catalog,
    term: Annotated[
        str, Field(min_length=1, max_length=300, description="Words of the name, title, tags, owner, text.")
    ],
    kinds: Kinds = [],  # noqa: B006 (pydantic copies a default)
    page: PageToken = None,
    limit: Limit = 20,
) -> Page[EntityHit]:
    """Find services, APIs, systems, teams, people or databases by words or part of a name, best first.

    Use it when you do not know the exact name, or whether there is such a thing already; query_entities filters by
    exact fields.
    """
    hits = page_of(await client.search(term, kinds), page=page, limit=limit)
    items = [
        EntityHit(
            ref=hit.entity.ref,
            kind=hit.entity.kind,
            name=hit.entity.name,
            title=views.title(hit.entity),
            description=views.text(hit.entity, "metadata.description"),
            type=views.text(hit.entity, "spec.type"),
            owner=views.owner(hit.entity),
            score=hit.score,
            matched=list(hit.matched),
        )
        for hit in hits.items
    ]
    return Page(items=items, next_page=hits.next_page, truncated=hits.truncated, total=hits.total)
