"""Filter, order and page entities by their fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, tool
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Kind, Limit, PageToken, Path
from servers.catalog.listing import listed
from servers.catalog.models import EntitySummary
from servers.catalog.predicates import Filter, field_is


@tool(effect="read", scope="catalog:read")
async def query_entities(
    client: Catalog,
    kind: Kind | None = None,
    filters: Annotated[list[Filter], Field(max_length=20, description="All must hold.")] = [],  # noqa: B006
    fields: Annotated[list[Path], Field(max_length=50, description="Paths to return, as spec.type.")] = [],  # noqa: B006
    order: Annotated[list[Path], Field(max_length=5, description="Fields to sort by; -field descends.")] = [],  # noqa: B006
    page: PageToken = None,
    limit: Limit = 50,
) -> Page[EntitySummary]:
    """List entities whose fields have given values: kind, spec.type, spec.lifecycle, metadata.tags, relations.ownedBy…

    Use it for exact filters and to list all of something; search_entities is for words.
    """
    rules = [*([field_is("kind", kind)] if kind else []), *filters]
    return await listed(client, rules, page=page, limit=limit, order=order, fields=fields)
