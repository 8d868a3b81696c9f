"""A server whose settings can be wrong in every way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from pydantic import SecretStr

from servers._kit.settings import ServerSettings


class Settings(ServerSettings):
    token: SecretStr | None = None
    limit: int = 5


def create(settings: Mapping[str, Any]) -> Server[Any]:
    if "file" in settings:
        raise FileNotFoundError(2, "No such file\nor directory", settings["file"])
    if "plain" in settings:
        raise ValueError
    Settings.model_validate(settings)
    return Server("odd", version="1")
