"""End a silence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers.prometheus.client import Prometheus
from servers.prometheus.models_alerts import Deleted

Uuid = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", max_length=36)]


@tool(effect="destructive", scope="prometheus:admin", idempotent=True)
async def expire_silence(client: Prometheus, id: Uuid) -> Deleted:  # noqa: A002
    """End a silence of Alertmanager now, so that its alerts notify people again. Repeating it does no harm."""
    return await client.alertmanager.expire_silence(id)
