"""What an operator may set for this server, in ``[upstreams.prometheus.settings]``."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from servers._kit import ServerSettings


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username is not None or parts.query or parts.fragment:
        # A credential in an address ends up in logs and errors; it has settings of its own.
        raise ValueError("must have no credentials, query or fragment")
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]


class PrometheusSettings(ServerSettings):
    """Settings of the prometheus server. Each of the two vendors has its own credential; neither sees the other's."""

    url: Address = Field(
        default="http://127.0.0.1:9090", description="Address of Prometheus, with its path prefix when it has one."
    )
    alertmanager_url: Address | None = Field(
        default=None,
        description="Address of Alertmanager; without it the silence and group tools say that it is missing.",
    )
    token: SecretStr | None = Field(default=None, description="Bearer token for Prometheus.")
    username: str | None = Field(default=None, description="Name for basic authentication at Prometheus.")
    password: SecretStr | None = None
    alertmanager_token: SecretStr | None = Field(default=None, description="Bearer token for Alertmanager.")
    alertmanager_username: str | None = None
    alertmanager_password: SecretStr | None = None
    tenant: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9!._*'()|-]{1,150}$",
        description="Sent as X-Scope-OrgID (Mimir, Cortex, Thanos).",
    )
    timeout_s: float = Field(default=30.0, gt=0, le=300, description="How long one request may take.")
    max_silence_h: float = Field(default=24.0, gt=0, le=24 * 365, description="The longest silence a tool may create.")

    @model_validator(mode="after")
    def _one_credential_each(self) -> PrometheusSettings:
        for prefix in ("", "alertmanager_"):
            token, name, password = (getattr(self, f"{prefix}{part}") for part in ("token", "username", "password"))
            if (name is None) != (password is None):
                raise ValueError(f"{prefix}username and {prefix}password go together")
            if token is not None and name is not None:
                raise ValueError(f"set {prefix}token or {prefix}username and {prefix}password, not both")
        return self
