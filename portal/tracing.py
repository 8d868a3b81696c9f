"""The SDK puts an OpenTelemetry span around every request. Where no tracer is set up, nobody ever sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.context import ServerMiddleware
from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider


def heard(middleware: Sequence[ServerMiddleware[Any]]) -> list[ServerMiddleware[Any]]:
    """Return the middleware that has an effect: spans are left out until the process has a tracer provider."""
    if not isinstance(get_tracer_provider(), ProxyTracerProvider):
        return list(middleware)
    return [one for one in middleware if not isinstance(one, OpenTelemetryMiddleware)]
