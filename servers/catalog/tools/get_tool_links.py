"""How an entity is called elsewhere."""

from __future__ import annotations

from servers._kit import tool
from servers.catalog import views
from servers.catalog.contract import Catalog
from servers.catalog.inputs import EntityRef
from servers.catalog.links import tool_links
from servers.catalog.models import ToolLinks


@tool(effect="read", scope="catalog:read")
async def get_tool_links(client: Catalog, ref: EntityRef) -> ToolLinks:
    """Tell how a service is called in other tools: GitLab project, Sentry project, Jira key, Prometheus labels,
    PagerDuty, runbooks, dashboards. Use it first when a task joins servers: the keys go straight into their tools.
    """
    return tool_links(await views.find(client, ref))
