"""Every check."""

from __future__ import annotations

from servers._kit import Page, page_of, tool
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Limit, PageToken
from servers.catalog.models import CheckView


@tool(effect="read", scope="catalog:read")
async def list_checks(client: Catalog, page: PageToken = None, limit: Limit = 100) -> Page[CheckView]:
    """List the scorecard checks and standards that services are measured by, and to what each applies.

    Use it for the check ids that get_scores and list_failing_checks take.
    """
    found = [
        CheckView(id=c.id, name=c.name, description=c.description, kinds=list(c.kinds), types=list(c.types))
        for c in await client.checks()
    ]
    return page_of(found, page=page, limit=limit)
