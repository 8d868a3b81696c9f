"""An in-process upstream that a test made: ``settings.name`` says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import Server

MADE: dict[str, Server[Any]] = {}


def create(settings: Mapping[str, Any]) -> Server[Any]:
    """Return the server that stands in MADE under the name that the settings give."""
    return MADE[settings["name"]]
