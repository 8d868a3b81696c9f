"""What the tools may ask of a catalog, whatever stands behind it: entity files now, a Backstage backend as well.

The operations are those of Backstage's catalog API, so that each can be one request there; everything else (graphs,
owners, systems, links) is worked out from them in this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from servers.catalog.predicates import Filter
from servers.catalog.scores import Check, Verdict

Json = Any
"""A value that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One edge as its source entity shows it; the target may be missing from the catalog."""

    type: str
    target: str


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity, read-only. ``ref`` is lower case; ``data`` is the descriptor.

    ``keys`` is what filters see: lower-case path -> lower-case value -> the value as it is written.
    """

    ref: str
    kind: str
    namespace: str
    name: str
    data: Mapping[str, Json]
    relations: tuple[Relation, ...]
    keys: Mapping[str, Mapping[str, str]]

    @property
    def metadata(self) -> Mapping[str, Json]:
        found: Mapping[str, Json] = self.data["metadata"]
        return found

    @property
    def spec(self) -> Mapping[str, Json]:
        found: Mapping[str, Json] = self.data.get("spec") or {}
        return found

    @property
    def annotations(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.metadata.get("annotations") or {}
        return found

    def targets(self, *types: str) -> list[str]:
        """Return the targets of these relation types, in order."""
        return [relation.target for relation in self.relations if relation.type in types]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in an entity file that kept an entity, a file or a location out of the catalog."""

    file: str
    line: int | None
    entity: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """One file on the way from a root to an entity."""

    file: str
    line: int
    ref: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an entity is declared: the files from the root down, and what is wrong in its own file."""

    ref: str
    loaded: bool
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]
    location_id: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Entities in the order asked for, and how many there are on all pages."""

    entities: tuple[Entity, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of the full-text search; a higher score is a better match."""

    entity: Entity
    score: float
    matched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered location, the entities it brings and what is wrong with it."""

    location_id: str | None
    target: str
    created: bool
    entities: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a validation found in descriptor text."""

    entities: tuple[str, ...]
    problems: tuple[Problem, ...]
    missing: tuple[tuple[str, str, str], ...]
    """(entity, relation type, target that the catalog does not have)."""


class Catalog(Protocol):
    """A catalog. Every operation raises ToolFailure and nothing else."""

    @property
    def tier_label(self) -> str:
        """The label or annotation that holds an entity's tier."""
        ...

    async def by_refs(self, refs: Sequence[str]) -> list[Entity | None]:
        """Return the entities of full references, in order, None where there is none."""
        ...

    async def named(self, name: str) -> list[Entity]:
        """Return the entities of this name, of any kind and namespace."""
        ...

    async def similar(self, name: str) -> list[str]:
        """Return a few references that a caller who wrote ``name`` may have meant."""
        ...

    async def query(
        self, filters: Sequence[Filter], *, order: Sequence[str] = (), offset: int = 0, limit: int = 1_000
    ) -> Found:
        """Return entities for which every filter holds; ``order`` has fields, a leading ``-`` for descending."""
        ...

    async def facets(self, fields: Sequence[str], filters: Sequence[Filter]) -> dict[str, dict[str, int]]:
        """Return, for each field, how many entities have each value."""
        ...

    async def search(self, term: str, kinds: Sequence[str]) -> list[Hit]:
        """Return entities that the words of ``term`` describe, best first."""
        ...

    async def origin(self, ref: str) -> Origin | None:
        """Return where a reference is declared, also when its declaration is broken; None when nowhere."""
        ...

    async def validate(self, text: str) -> Judged:
        """Judge descriptor YAML without storing it and without reading any file that it names."""
        ...

    async def refresh(self, ref: str) -> None:
        """Read the entity's declaration again now."""
        ...

    async def register(self, target: str, *, dry_run: bool) -> Registered:
        """Add a location; it is durable when this returns."""
        ...

    async def unregister(self, location_id: str) -> tuple[str, ...]:
        """Remove a registered location for good and return the references that went with it."""
        ...

    async def checks(self) -> tuple[Check, ...]:
        """Return every check."""
        ...

    async def run_checks(self, entities: Sequence[Entity], ids: Sequence[str]) -> list[Verdict]:
        """Return the verdict of each check on each entity that it applies to; all checks when ``ids`` is empty."""
        ...
