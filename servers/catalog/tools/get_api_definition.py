"""Read an API's definition."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from servers._kit import NotFound, tool
from servers.catalog import views
from servers.catalog.apis.models import ApiDefinition
from servers.catalog.contract import Catalog
from servers.catalog.definitions import as_operations, as_text
from servers.catalog.inputs import ApiRef


@tool(effect="read", scope="catalog:read")
async def get_api_definition(
    client: Catalog,
    api: ApiRef,
    format: Literal["operations", "raw"] = "operations",  # noqa: A002
    match: Annotated[str, Field(max_length=200, description="Only operations that have all these words.")] = "",
    start: Annotated[int, Field(ge=0, le=10_000_000, description="raw: first character.")] = 0,
    max_chars: Annotated[int, Field(ge=100, le=50_000, description="raw: at most so many.")] = 10_000,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> ApiDefinition:
    """Read how to call an API: its operations, endpoints or events with their request and response schemas (OpenAPI,
    AsyncAPI, GraphQL, gRPC), filtered by `match`.

    format="raw" gives a window of the definition's text instead.
    """
    entity = await views.find(client, api, "API")
    definition = entity.spec.get("definition")
    if not isinstance(definition, str):
        raise NotFound(f"{entity.ref} has no definition")
    if format == "raw":
        return as_text(entity, definition, start=start, max_chars=max_chars)
    return await asyncio.to_thread(as_operations, entity, definition, match=match, limit=limit)
