"""List notes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, tool
from servers._template.client import Template
from servers._template.models import NoteSummary


@tool(effect="read", scope="template:read")
async def list_notes(
    client: Template,
    query: Annotated[str, Field(max_length=200, description="Words of the title.")] = "",
    page: Annotated[str | None, Field(max_length=100)] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> Page[NoteSummary]:
    """Find notes by words of their title."""
    notes, following = await client.notes(query=query, cursor=page, limit=limit)
    return Page(items=notes, next_page=following, truncated=following is not None)
