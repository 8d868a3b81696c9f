"""What answers."""

from __future__ import annotations

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.models_alerts import ServerInfo


@tool(effect="read", scope="prometheus:read")
async def get_server_info(client: Prometheus) -> ServerInfo:
    """Read the version, start time, retention and configuration state of Prometheus, and the Alertmanager version."""
    return await client.server_info()
