"""What an operator may set for this server, in ``[upstreams.template.settings]``."""

from __future__ import annotations

from pydantic import Field, SecretStr

from servers._kit import ServerSettings


class TemplateSettings(ServerSettings):
    """Settings of the template server."""

    url: str | None = Field(
        default=None, description="Address of the vendor; without it the built-in emulator answers."
    )
    token: SecretStr | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=300)
