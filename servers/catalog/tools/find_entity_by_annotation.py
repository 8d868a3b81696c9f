"""From another tool's key back to the entity."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, tool
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Limit, PageToken
from servers.catalog.listing import listed
from servers.catalog.models import EntitySummary
from servers.catalog.predicates import Filter, field_is


@tool(effect="read", scope="catalog:read")
async def find_entity_by_annotation(
    client: Catalog,
    annotation: Annotated[str, Field(min_length=1, max_length=300, description="As gitlab.com/project-slug.")],
    value: Annotated[str | None, Field(max_length=200, description="Whole value; none: any value.")] = None,
    page: PageToken = None,
    limit: Limit = 50,
) -> Page[EntitySummary]:
    """Find which service a GitLab project, Sentry project, Jira key or metric label belongs to: the reverse of
    get_tool_links. Use it when a task begins in another tool.
    """
    field = f"metadata.annotations.{annotation}"
    rule = Filter(field=field, exists=True) if value is None else field_is(field, value)
    return await listed(client, [rule], page=page, limit=limit, fields=[field])
