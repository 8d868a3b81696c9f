"""Entities as the tools show them, and the one way from what a caller wrote to an entity."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from servers._kit import InvalidInput, NotFound
from servers._kit.failures import quote
from servers.catalog import models
from servers.catalog.contract import Catalog, Entity, Problem
from servers.catalog.fields import select
from servers.catalog.file_models import ProblemView
from servers.catalog.refs import DEFAULT_NAMESPACE, BadRef, make_ref, parse_named

MAX_SPEC_TEXT_CHARS = 1_000
MAX_SHOWN_PROBLEMS = 50
BATCH = 200


async def find(catalog: Catalog, text: str, *kinds: str) -> Entity:
    """Return the entity that a reference, bare name or web address means; only of ``kinds`` when given.

    Raises InvalidInput for what is no reference or means several entities, NotFound with what may have been meant.
    """
    try:
        named = parse_named(text)
    except BadRef as bad:
        raise InvalidInput(f"{quote(text)}: {bad}") from None
    allowed = {kind.lower() for kind in kinds}
    if named.kind is not None:
        if allowed and named.kind.lower() not in allowed:
            raise InvalidInput(
                f"{quote(text)} is a {named.kind.lower()}; this tool wants a {' or '.join(sorted(allowed))}"
            )
        found = await catalog.by_refs([str(make_ref(named.kind, named.namespace or DEFAULT_NAMESPACE, named.name))])
        candidates = [entity for entity in found if entity is not None]
    else:
        candidates = [
            entity
            for entity in await catalog.named(named.name)
            if (not allowed or entity.kind.lower() in allowed)
            and (named.namespace is None or entity.namespace == named.namespace.lower())
        ]
    if not candidates:
        raise NotFound(await _nothing(catalog, text, named.name))
    if len(candidates) > 1:
        refs = ", ".join(entity.ref for entity in candidates[:5])
        raise InvalidInput(f"{quote(text)} may mean {refs}; give the whole reference")
    return candidates[0]


async def by_ref(catalog: Catalog, refs: Sequence[str]) -> dict[str, Entity]:
    """Return the entities of these references that exist, asked for in batches."""
    found: dict[str, Entity] = {}
    for at in range(0, len(refs), BATCH):
        batch = await catalog.by_refs(refs[at : at + BATCH])
        found.update((entity.ref, entity) for entity in batch if entity is not None)
    return found


async def _nothing(catalog: Catalog, text: str, name: str) -> str:
    near = await catalog.similar(name)
    return f"no entity {quote(text)}" + (
        f"; did you mean {', '.join(near)}?" if near else "; search_entities finds names"
    )


def summary(catalog: Catalog, entity: Entity, fields: Sequence[str] = ()) -> models.EntitySummary:
    """Return an entity as lists show it."""
    return models.EntitySummary(
        ref=entity.ref,
        kind=entity.kind,
        name=entity.name,
        title=title(entity),
        description=text(entity, "metadata.description"),
        type=text(entity, "spec.type"),
        lifecycle=text(entity, "spec.lifecycle"),
        owner=owner(entity),
        system=part_of(entity, "system"),
        tier=tier(catalog, entity),
        tags=list(entity.metadata.get("tags") or []),
        fields=chosen(entity, fields),
    )


async def find_all(catalog: Catalog, texts: Sequence[str]) -> list[Entity | None]:
    """Return the entities that the texts mean, in order, None for each that is not there. Raises InvalidInput."""
    full = [_full_ref(text) for text in texts]
    known = await by_ref(catalog, list(dict.fromkeys(ref for ref in full if ref is not None)))
    found: list[Entity | None] = []
    for text, ref in zip(texts, full, strict=True):
        try:
            found.append(known.get(ref) if ref is not None else await find(catalog, text))
        except NotFound:
            found.append(None)
    return found


def _full_ref(text: str) -> str | None:
    """Return the full reference that a text is, None when its kind is open."""
    try:
        named = parse_named(text)
    except BadRef as bad:
        raise InvalidInput(f"{quote(text)}: {bad}") from None
    if named.kind is None:
        return None
    return str(make_ref(named.kind, named.namespace or DEFAULT_NAMESPACE, named.name))


async def full_ref(catalog: Catalog, text: str) -> str:
    """Return the full reference that a text means; a kind makes it full, whether or not such an entity is loaded.

    Raises InvalidInput, and NotFound for a bare name that no entity has.
    """
    return _full_ref(text) or (await find(catalog, text)).ref


async def whole(catalog: Catalog, entities: Sequence[Entity], fields: Sequence[str]) -> list[models.Entity]:
    """Return entities complete, or only the chosen fields of them."""
    targets = [] if fields else [relation.target for entity in entities for relation in entity.relations]
    known = await by_ref(catalog, list(dict.fromkeys(targets)))
    return [_whole(catalog, entity, fields, known) for entity in entities]


def _whole(catalog: Catalog, entity: Entity, fields: Sequence[str], known: Container[str]) -> models.Entity:
    spec, omitted = _short(entity.spec)
    relations = [
        models.RelationView(type=relation.type, target=relation.target, exists=relation.target in known)
        for relation in entity.relations
    ]
    return models.Entity(
        ref=entity.ref,
        kind=entity.kind,
        namespace=entity.namespace,
        name=entity.name,
        title=title(entity),
        description=text(entity, "metadata.description"),
        type=text(entity, "spec.type"),
        lifecycle=text(entity, "spec.lifecycle"),
        owner=owner(entity),
        system=part_of(entity, "system"),
        domain=part_of(entity, "domain"),
        tier=tier(catalog, entity),
        tags=list(entity.metadata.get("tags") or []),
        labels={} if fields else dict(entity.metadata.get("labels") or {}),
        annotations={} if fields else dict(entity.annotations),
        links=[] if fields else links(entity),
        spec={} if fields else spec,
        relations=[] if fields else relations,
        fields=chosen(entity, fields),
        omitted=[] if fields else omitted,
    )


def links(entity: Entity) -> list[models.Link]:
    """Return the links of an entity's metadata."""
    return [
        models.Link(url=link["url"], title=link.get("title"), type=link.get("type"))
        for link in entity.metadata.get("links") or []
    ]


def person(entity: Entity) -> models.PersonRef:
    """Return a user briefly."""
    return models.PersonRef(ref=entity.ref, name=title(entity), email=text(entity, "spec.profile.email"))


def problems(found: Iterable[Problem]) -> list[ProblemView]:
    """Return problems, a bounded number of them."""
    return [
        ProblemView(file=p.file, line=p.line, entity=p.entity, message=p.message)
        for p in list(found)[:MAX_SHOWN_PROBLEMS]
    ]


def chosen(entity: Entity, fields: Sequence[str]) -> dict[str, Any]:
    """Return the values of dotted paths; ``relations.<type>`` gives the targets."""
    found: dict[str, Any] = {}
    for field in fields:
        head, _, kind = field.partition(".")
        if head == "relations":
            found[field] = [r.target for r in entity.relations if not kind or r.type.lower() == kind.lower()]
        else:
            found[field] = select(entity.data, field)
    return found


def text(entity: Entity, path: str) -> str | None:
    """Return the text at a path, None when there is none."""
    value = select(entity.data, path)
    return value if isinstance(value, str) and value else None


def title(entity: Entity) -> str | None:
    """Return how people call an entity."""
    return text(entity, "metadata.title") or text(entity, "spec.profile.displayName")


def owner(entity: Entity) -> str | None:
    """Return the ref of an entity's owner."""
    return next(iter(entity.targets("ownedBy")), None)


def part_of(entity: Entity, kind: str) -> str | None:
    """Return the ref of the system or domain that an entity is part of."""
    return next((ref for ref in entity.targets("partOf") if ref.startswith(f"{kind}:")), None)


def tier(catalog: Catalog, entity: Entity) -> str | None:
    """Return how much an entity matters, as its label or annotation says."""
    found = (entity.metadata.get("labels") or {}).get(catalog.tier_label) or entity.annotations.get(catalog.tier_label)
    return found if isinstance(found, str) else None


def kind_of(ref: str) -> str:
    """Return the kind that a full reference names."""
    return ref.partition(":")[0]


def _short(spec: Any) -> tuple[dict[str, Any], list[str]]:
    """Return a spec without its long texts, and the paths of those: definitions would drown the rest."""
    short = {key: value for key, value in spec.items() if not _long(value)}
    return short, [f"spec.{key}" for key in spec if key not in short]


def _long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > MAX_SPEC_TEXT_CHARS
