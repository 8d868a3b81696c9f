"""Failed checks of many entities."""

from __future__ import annotations

from servers._kit import Page, page_of, tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import Limit, OwnerRef, PageToken, SystemRef
from servers.catalog.models import CheckResult
from servers.catalog.predicates import field_is
from servers.catalog.standards import CheckName, result

MAX_ENTITIES = 50_000


@tool(effect="read", scope="catalog:read")
async def list_failing_checks(
    client: Catalog,
    owner: OwnerRef | None = None,
    system: SystemRef | None = None,
    check: CheckName | None = None,
    page: PageToken = None,
    limit: Limit = 100,
) -> Page[CheckResult]:
    """List every failed check in the catalog, of one owner, system or check: scorecard, compliance, readiness gaps.

    Use it to find which services of a team need work: those without a runbook, an owner or a dashboard.
    """
    rules = []
    if owner:
        rules.append(field_is("relations.ownedBy", (await views.find(client, owner, "Group", "User")).ref))
    if system:
        rules.append(field_is("relations.partOf", (await views.find(client, system, "System")).ref))
    found = await client.query(rules, limit=MAX_ENTITIES)
    verdicts = await client.run_checks(found.entities, [check] if check else [])
    failed = page_of([verdict for verdict in verdicts if not verdict.passed], page=page, limit=limit)
    return Page(
        items=[result(verdict) for verdict in failed.items],
        next_page=failed.next_page,
        truncated=failed.truncated,
        total=failed.total,
    )
