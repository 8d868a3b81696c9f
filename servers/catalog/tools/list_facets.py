"""Count the values of fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Limit, PageToken, Path
from servers.catalog.models import FacetCount
from servers.catalog.predicates import Filter


@tool(effect="read", scope="catalog:read")
async def list_facets(
    client: Catalog,
    facets: Annotated[list[Path], Field(min_length=1, max_length=10, description="Fields, as kind, spec.type.")],
    filters: Annotated[list[Filter], Field(max_length=20, description="Count only these entities.")] = [],  # noqa: B006
    page: PageToken = None,
    limit: Limit = 100,
) -> Page[FacetCount]:
    """Count which values a field has: the kinds, types, lifecycles, tags or owners in use, most frequent first.

    Use it to learn the vocabulary before query_entities, or for statistics.
    """
    counted = await client.facets(list(dict.fromkeys(facets)), filters)
    found = [
        FacetCount(facet=facet, value=value, count=count)
        for facet, values in counted.items()
        for value, count in values.items()
    ]
    return page_of(found, page=page, limit=limit)
