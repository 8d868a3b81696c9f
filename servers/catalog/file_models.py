"""What the tools about entity files answer."""

from __future__ import annotations

from pydantic import Field

from servers._kit import Output


class ProblemView(Output):
    """Something wrong in an entity file."""

    file: str
    line: int | None
    entity: str | None
    message: str


class OriginStep(Output):
    """A file on the way from a root to the entity."""

    file: str
    line: int
    ref: str | None


class Ancestry(Output):
    """Where an entity is declared, and what is wrong there."""

    ref: str
    loaded: bool = Field(description="False when a problem keeps it out of the catalog.")
    file: str | None
    line: int | None
    steps: list[OriginStep] = Field(description="From the root Location down to the entity.")
    location_id: str | None = Field(description="For unregister_location; null when no registered location brings it.")
    problems: list[ProblemView]


class MissingTarget(Output):
    """A relation to an entity that nobody declares."""

    source: str
    type: str
    target: str


class ValidationResult(Output):
    """What the rules say about descriptor text. Missing targets are allowed, as in Backstage."""

    valid: bool
    entities: list[str]
    problems: list[ProblemView]
    missing_targets: list[MissingTarget]


class Accepted(Output):
    """The change was made."""

    ref: str
    loaded: bool
    problems: list[ProblemView]


class Location(Output):
    """A registered location; without id when it was a dry run."""

    id: str | None
    type: str
    target: str
    created: bool
    dry_run: bool
    entities: list[str]
    problems: list[ProblemView]


class Deleted(Output):
    """What went away."""

    id: str
    entities: list[str]
