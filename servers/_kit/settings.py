"""The base of every server's settings: frozen, and a misspelt name is refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ServerSettings(BaseModel):
    """Settings of one server, from its ``[upstreams.<name>.settings]`` table. Secrets are SecretStr."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
