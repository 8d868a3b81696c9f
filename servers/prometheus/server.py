"""The server: its settings, its client and its tools put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import Server

from servers._kit.server import build
from servers._kit.tool import discover
from servers.prometheus.client import open_client
from servers.prometheus.settings import PrometheusSettings


def create(settings: Mapping[str, Any]) -> Server[Any]:
    """Return the MCP server. Raises pydantic.ValidationError for settings that nobody knows."""
    parsed = PrometheusSettings.model_validate(settings)
    return build(
        "prometheus",
        summary="Metrics in PromQL, targets, rules, alerts and silences of Prometheus and Alertmanager.",
        tools=discover("servers.prometheus.tools"),
        client=lambda: open_client(parsed),
    )
