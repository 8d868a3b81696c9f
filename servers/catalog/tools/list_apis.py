"""List APIs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Limit, OwnerRef, PageToken, SystemRef
from servers.catalog.listing import query_page
from servers.catalog.models import ApiSummary
from servers.catalog.predicates import field_is


@tool(effect="read", scope="catalog:read")
async def list_apis(
    client: Catalog,
    type: Annotated[str | None, Field(max_length=63, description="openapi, asyncapi, graphql, grpc…")] = None,  # noqa: A002
    system: SystemRef | None = None,
    owner: OwnerRef | None = None,
    page: PageToken = None,
    limit: Limit = 50,
) -> Page[ApiSummary]:
    """List APIs with their type, owner, providers and number of consumers.

    Use it to see which REST, event, GraphQL or gRPC interfaces there are, in a system or of a team.
    """
    rules = [field_is("kind", "api")]
    if type:
        rules.append(field_is("spec.type", type))
    if system:
        rules.append(field_is("relations.partOf", (await views.find(client, system, "System")).ref))
    if owner:
        rules.append(field_is("relations.ownedBy", (await views.find(client, owner, "Group", "User")).ref))
    found = await query_page(client, rules, page=page, limit=limit)
    items = [
        ApiSummary(
            ref=api.ref,
            name=api.name,
            title=views.title(api),
            description=views.text(api, "metadata.description"),
            type=views.text(api, "spec.type"),
            lifecycle=views.text(api, "spec.lifecycle"),
            owner=views.owner(api),
            system=views.part_of(api, "system"),
            providers=api.targets("apiProvidedBy"),
            consumers=len(api.targets("apiConsumedBy")),
        )
        for api in found.items
    ]
    return Page(items=items, next_page=found.next_page, truncated=found.truncated, total=found.total)
