"""The server: its settings, its client and its tools put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import Server

from servers._kit.credentials import Credentials
from servers._kit.server import build
from servers._kit.tool import discover
from servers._template.client import open_client
from servers._template.settings import TemplateSettings


def create(settings: Mapping[str, Any], credentials: Credentials | None = None) -> Server[Any]:
    """Return the MCP server. Raises pydantic.ValidationError for settings that nobody knows.

    With ``credentials`` every request to the vendor is made with the account of whoever calls.
    """
    parsed = TemplateSettings.model_validate(settings)
    return build(
        "template",
        summary="Notes of the team.",
        tools=discover("servers._template.tools"),
        client=lambda: open_client(parsed, as_caller=credentials is not None),
        credentials=credentials,
    )
