"""What fills the database."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.models import Cardinality


@tool(effect="read", scope="prometheus:read")
async def get_cardinality(
    client: Prometheus,
    limit: Annotated[int, Field(ge=1, le=100, description="Entries per list; Prometheus before 2.46 gives 10.")] = 10,
) -> Cardinality:
    """See which metrics have the most series and which labels the most values: high cardinality, memory
    use and cost of Prometheus (TSDB).
    """
    return await client.cardinality(limit)
