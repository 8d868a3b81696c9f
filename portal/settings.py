"""The one settings object: built once in portal.app, passed as an argument, never changed.

Sources, first wins: arguments, ``PORTAL_*`` environment, secrets directory, ``portal.toml``. A name that nobody knows
is refused wherever it stands: a misspelt limit must not silently be no limit.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from portal.sections import (
    AuditSection,
    AuthSection,
    BudgetSection,
    LimitsSection,
    PolicySection,
    ResultsSection,
    SandboxSection,
    SearchSection,
    Upstream,
)
from shared_auth.configuration import is_loopback

PREFIX = "PORTAL_"
CONFIG_VARIABLE = "PORTAL_CONFIG"
DEFAULT_CONFIG = "portal.toml"


class ConfigurationError(Exception):
    """The portal must not start like this. The message says what to change; the exit code is 2."""


class PortalSettings(BaseSettings):
    """Everything an operator may set. ``docs/configuration.md`` is made from these models."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8300, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(default=None, description="How clients reach the portal, without a path.")
    data_dir: Path = Field(default=Path("var/portal"), description="Database and demo data; created with mode 0700.")
    database_url: SecretStr | None = Field(
        default=None, description="`postgresql://…` for replicas. Default: SQLite in data_dir."
    )
    allowed_hosts: list[str] = Field(default_factory=list, description="Host headers beside public_url's.")
    allowed_origins: list[str] = Field(default_factory=list, description="Web origins that may call the endpoint.")
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses of reverse proxies whose X-Forwarded-For and -Proto are believed; `*` believes anybody.",
    )
    max_request_bytes: int = Field(
        default=262_144, ge=4_096, le=16 * 1024 * 1024, description="Body of one request to the endpoint."
    )
    catalogue_ttl_s: float = Field(
        default=60.0, ge=1, le=86_400, description="How often tools are listed again without being told of a change."
    )
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    auth: AuthSection = AuthSection()
    search: SearchSection = SearchSection()
    sandbox: SandboxSection = SandboxSection()
    limits: LimitsSection = LimitsSection()
    results: ResultsSection = ResultsSection()
    policy: PolicySection = PolicySection()
    budget: BudgetSection = BudgetSection()
    audit: AuditSection = AuditSection()
    upstreams: dict[str, Upstream] = Field(default_factory=dict)

    @field_validator("public_url")
    @classmethod
    def _plain_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise ValueError("must be http(s)://host[:port] without a path")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("must be https unless it is a loopback address (tokens travel over it)")
        return value.rstrip("/").lower()

    @property
    def issuer(self) -> str:
        """The public address: authorization server issuer, and the endpoint's address without its path."""
        if self.public_url is not None:
            return self.public_url
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The canonical URI of the MCP endpoint (RFC 8707): audience of every access token."""
        return f"{self.issuer}/mcp"

    @property
    def local_sign_in(self) -> bool:
        """Whether the local person may sign in: never beside a provider, which it would lead round."""
        return self.auth.local_sign_in and self.auth.oidc is None

    @property
    def database(self) -> str:
        """The SQLAlchemy address of the database. May hold a password: never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{(self.data_dir / 'portal.db').absolute()}"

    @property
    def jail(self) -> Literal["require", "degrade"]:
        """The sandbox mode after ``auto`` is resolved (DESIGN: fails closed on any address but loopback)."""
        if self.sandbox.jail != "auto":
            return self.sandbox.jail
        public = urlsplit(self.issuer).hostname or ""
        return "degrade" if is_loopback(self.host) and is_loopback(public) else "require"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - named by the interface; no .env is read
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, cls.model_config.get("toml_file"))
        return (init_settings, env_settings, file_secret_settings, toml)


def load(config: Path | None = None, **overrides: Any) -> PortalSettings:
    """Return the effective settings. Raises ConfigurationError that names the setting, never its value."""
    path = _config_path(config)
    _refuse_unknown_variables()
    secrets = os.environ.get("PORTAL_SECRETS_DIR")

    class _Loaded(PortalSettings):
        model_config = SettingsConfigDict(toml_file=path, secrets_dir=secrets)

    try:
        return _Loaded(**overrides)
    except ValidationError as error:
        raise ConfigurationError(f"settings: {faults_of(error)}") from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"settings: {path or 'environment'} cannot be read: {type(error).__name__}") from None


def faults_of(error: ValidationError) -> str:
    """Return which settings are wrong and why, in one line that holds none of their values."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _config_path(config: Path | None) -> Path | None:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    if named is not None:
        if not named.is_file():
            raise ConfigurationError(f"settings: {named} does not exist")
        return named
    return Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).is_file() else None


def address_in_environment() -> bool:
    """Say whether the environment names an address, as of a portal that one command in particular is meant for."""
    named = {f"{PREFIX}{name}" for name in ("HOST", "PORT", "PUBLIC_URL")}
    return any(variable.upper() in named for variable in os.environ)


def _refuse_unknown_variables() -> None:
    """Refuse misspelt ``PORTAL_*`` names, which pydantic-settings ignores."""
    known = {name.upper() for name in PortalSettings.model_fields} | {"CONFIG", "SECRETS_DIR", "TOKEN"}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX).split("__")[0] not in known:
            if variable.startswith("PORTAL_TEST_"):
                continue
            raise ConfigurationError(f"settings: {variable} is not a setting; see docs/configuration.md")
