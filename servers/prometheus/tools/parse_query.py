"""The structure of a PromQL expression."""

from __future__ import annotations

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import Promql
from servers.prometheus.models import PromqlAst
from servers.prometheus.syntax_tree import outlined


@tool(effect="read", scope="prometheus:read")
async def parse_query(client: Prometheus, query: Promql) -> PromqlAst:
    """Take a PromQL expression apart: selectors with their matchers, functions, aggregations. Needs Prometheus 3.

    For finding out which metrics and labels a rule or dashboard depends on.
    """
    return outlined(query, await client.parse(query))
