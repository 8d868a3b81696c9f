"""Find people by name or email."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.catalog.contract import Catalog
from servers.catalog.inputs import PageToken
from servers.catalog.models import Person
from servers.catalog.people import people_like, person_view


@tool(effect="read", scope="catalog:read")
async def find_person(
    client: Catalog,
    person: Annotated[str, Field(min_length=2, max_length=200, description="Email, user name or part of a name.")],
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> Page[Person]:
    """Find a person, user or colleague by email or name, with their teams and the services those teams own.

    Use it for "what does Jane work on" or to turn an email into a user.
    """
    found = page_of(await people_like(client, person), page=page, limit=limit)
    items = [await person_view(client, entity) for entity in found.items]
    return Page(items=items, next_page=found.next_page, truncated=found.truncated, total=found.total)
