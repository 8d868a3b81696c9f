"""The template's tools, each with the scope that it takes at GitLab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcp.server import Server

from servers._kit.credentials import Credentials
from servers._kit.server import build
from servers._kit.tool import discover
from servers._template.client import open_client
from servers._template.settings import TemplateSettings


def create(settings: Mapping[str, Any], credentials: Credentials | None = None) -> Server[Any]:
    """Return the MCP server: reading takes ``read_user``, anything else ``api``."""
    parsed = TemplateSettings.model_validate(settings)
    return build(
        "scoped",
        summary="Notes of the team.",
        tools=[
            replace(spec, vendor_scopes=("read_user",) if spec.effect == "read" else ("api",))
            for spec in discover("servers._template.tools")
        ],
        client=lambda: open_client(parsed, as_caller=credentials is not None),
        credentials=credentials,
    )
