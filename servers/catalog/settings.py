"""What an operator may set for this server, in ``[upstreams.catalog.settings]``."""

from __future__ import annotations

from pydantic import Field

from servers._kit import ServerSettings


class CatalogSettings(ServerSettings):
    """Settings of the catalog server. Every path is relative to ``folder``, and nothing outside it is ever read."""

    folder: str = Field(default=".", description="Root folder; no file outside it is read, whatever a Location says.")
    roots: list[str] = Field(
        default_factory=lambda: ["catalog-info/all.yaml"],
        max_length=100,
        description="Entity files or globs to start from.",
    )
    scores: str | None = Field(default=None, description="YAML file of checks; without it there are no checks.")
    state_dir: str | None = Field(
        default=None,
        description="Folder for registered locations, relative to the working directory; without it register_location "
        "is refused.",
    )
    refresh_s: float = Field(default=5.0, ge=0, le=3_600, description="Files are looked at again at most this often.")
    tier_label: str = Field(default="acme.test/tier", description="Label or annotation that holds an entity's tier.")
    max_files: int = Field(default=5_000, ge=1, le=100_000)
    max_entities: int = Field(default=50_000, ge=1, le=1_000_000)
    max_file_bytes: int = Field(default=2 * 1024 * 1024, ge=1_024, le=64 * 1024 * 1024)
