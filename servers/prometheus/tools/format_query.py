"""A PromQL expression checked and laid out."""

from __future__ import annotations

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import Promql
from servers.prometheus.models import FormattedQuery


@tool(effect="read", scope="prometheus:read")
async def format_query(client: Prometheus, query: Promql) -> FormattedQuery:
    """Check the syntax of a PromQL expression without running it, and lay it out; errors name their position."""
    return FormattedQuery(query=query, formatted=await client.format(query))
