"""Pages of entities: a filter, and a token that says where the next page begins."""

from __future__ import annotations

from collections.abc import Sequence

from servers._kit import InvalidInput, Page
from servers.catalog.contract import Catalog, Entity
from servers.catalog.models import EntitySummary
from servers.catalog.predicates import Filter
from servers.catalog.views import summary


async def query_page(
    catalog: Catalog, rules: Sequence[Filter], *, page: str | None, limit: int, order: Sequence[str] = ()
) -> Page[Entity]:
    """Return a page of the entities for which all rules hold. Raises InvalidInput for a token that nobody gave."""
    start = 0
    if page is not None:
        if not (page.isascii() and page.isdigit() and len(page) < 10):
            raise InvalidInput("page is not a token from next_page; leave it out for the first page")
        start = int(page)
    found = await catalog.query(rules, order=order, offset=start, limit=limit)
    end = start + len(found.entities)
    more = end < found.total and bool(found.entities)
    # model_construct: an Entity is ours and frozen, not something to validate.
    return Page.model_construct(
        items=list(found.entities), next_page=str(end) if more else None, truncated=more, total=found.total
    )


async def listed(
    catalog: Catalog,
    rules: Sequence[Filter],
    *,
    page: str | None,
    limit: int,
    order: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> Page[EntitySummary]:
    """Return a page of entities as lists show them."""
    found = await query_page(catalog, rules, page=page, limit=limit, order=order)
    return Page(
        items=[summary(catalog, entity, fields) for entity in found.items],
        next_page=found.next_page,
        truncated=found.truncated,
        total=found.total,
    )
