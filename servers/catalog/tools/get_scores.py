"""The checks of one entity."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import Page, page_of, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import EntityRef, Limit, PageToken
from servers.catalog.models import CheckResult
from servers.catalog.standards import CheckName, result


@tool(effect="read", scope="catalog:read")
async def get_scores(
    client: Catalog,
    ref: EntityRef,
    checks: Annotated[list[CheckName], Field(max_length=50, description="Only these check ids.")] = [],  # noqa: B006
    page: PageToken = None,
    limit: Limit = 100,
) -> Page[CheckResult]:
    """Run the scorecard of a service: production readiness checks, passed or failed, with the reason.

    Use it to see what a service lacks: runbook, owner, tier, dashboards.
    """
    entity = await views.find(client, ref)
    verdicts = await client.run_checks([entity], checks)
    return page_of([result(verdict) for verdict in verdicts], page=page, limit=limit)
