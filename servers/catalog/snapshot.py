"""The whole catalog at one moment, immutable: built off the event loop, swapped in whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.catalog.contract import Entity, Origin, Problem, Relation
from servers.catalog.fields import keys_of
from servers.catalog.folder import Folder, Refused
from servers.catalog.index import Index
from servers.catalog.locations import Declared, Loader, Root
from servers.catalog.relations import both_ways
from servers.catalog.scores import BadChecks, Check, parse_checks
from servers.catalog.settings import CatalogSettings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that answers are made of. Nothing in it changes after it is built."""

    entities: tuple[Entity, ...]
    by_ref: Mapping[str, Entity]
    by_name: Mapping[str, tuple[Entity, ...]]
    declared: Mapping[str, Declared]
    problems: tuple[Problem, ...]
    checks: tuple[Check, ...]
    index: Index
    folder: Folder

    def changed(self) -> bool:
        """Say whether the files differ from what this was built of. Blocks on the disk."""
        return self.folder.changed()

    def origin(self, ref: str) -> Origin | None:
        """Return where a reference is declared, also when it could not be loaded; None when no file has it."""
        place = self.declared.get(ref)
        if place is not None:
            problems = tuple(p for p in self.problems if p.file == place.file or p.entity == ref)
            return Origin(ref, loaded=True, steps=place.steps, problems=problems, location_id=place.location_id)
        problems = tuple(p for p in self.problems if p.entity == ref)
        return Origin(ref, loaded=False, steps=(), problems=problems, location_id=None) if problems else None

    def refs_of(self, location_id: str) -> tuple[str, ...]:
        """Return the entities that a registered location brought."""
        return tuple(ref for ref, place in self.declared.items() if place.location_id == location_id)


def build(
    settings: CatalogSettings, folder: Folder, registered: Sequence[Root] = (), problems: Sequence[Problem] = ()
) -> Snapshot:
    """Return the catalog that the files say now. Blocks on the disk; whatever files contain, it does not raise.

    ``problems`` are those that the caller met on the way and wants on show.
    """
    loader = Loader(folder, settings.max_files, settings.max_entities)
    loader.load([*(Root(target) for target in settings.roots), *registered])
    checks, faults = _checks(settings, folder)
    unique, doubles = _unique(loader.declared)
    relations = both_ways((place.ref, place.data) for place in unique)
    entities = tuple(entity_of(place.ref, place.data, relations[place.ref]) for place in unique)
    return Snapshot(
        entities=entities,
        by_ref={entity.ref: entity for entity in entities},
        by_name=_by_name(entities),
        declared={place.ref: place for place in unique},
        problems=(*problems, *loader.problems, *doubles, *faults),
        checks=checks,
        index=Index([_texts(entity) for entity in entities]),
        folder=folder,
    )


def entity_of(ref: str, data: Mapping[str, Any], relations: Sequence[tuple[str, str]]) -> Entity:
    """Return the entity of a valid descriptor with its relations."""
    return Entity(
        ref=ref,
        kind=data["kind"],
        namespace=data["metadata"]["namespace"],
        name=data["metadata"]["name"],
        data=data,
        relations=tuple(Relation(kind, target) for kind, target in relations),
        keys=keys_of(data, relations),
    )


def _unique(declared: Sequence[Declared]) -> tuple[list[Declared], list[Problem]]:
    """Return the first declaration of each reference, and a problem for every other one."""
    first: dict[str, Declared] = {}
    doubles = []
    for place in declared:
        known = first.setdefault(place.ref, place)
        if known is not place:
            message = f"{place.ref} is declared already in {known.file}, line {known.line}; this one is left out"
            doubles.append(Problem(place.file, place.line, place.ref, message))
    return list(first.values()), doubles


def _by_name(entities: Sequence[Entity]) -> dict[str, tuple[Entity, ...]]:
    found: dict[str, tuple[Entity, ...]] = {}
    for entity in entities:
        name = entity.name.lower()
        found[name] = (*found.get(name, ()), entity)
    return found


def _checks(settings: CatalogSettings, folder: Folder) -> tuple[tuple[Check, ...], list[Problem]]:
    if settings.scores is None:
        return (), []
    try:
        files = folder.expand(settings.scores)
        return parse_checks(folder.read(files[0])) if files else (), []
    except (Refused, BadChecks) as bad:
        return (), [Problem(settings.scores, None, None, f"no check is run: {bad}")]


def _texts(entity: Entity) -> dict[str, str]:
    spec, metadata = entity.spec, entity.metadata
    profile = spec.get("profile") or {}
    owners = entity.targets("ownedBy", "memberOf", "childOf")
    return {
        "name": entity.name,
        "title": f"{metadata.get('title') or ''} {profile.get('displayName') or ''} {profile.get('email') or ''}",
        "tags": " ".join(metadata.get("tags") or []),
        "type": f"{entity.kind} {spec.get('type') or ''}",
        "owner": " ".join(ref.rpartition("/")[2] for ref in owners),
        "system": " ".join(ref.rpartition("/")[2] for ref in entity.targets("partOf")),
        "description": str(metadata.get("description") or ""),
    }
