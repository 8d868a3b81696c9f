"""Which field of which kind makes which relation, and all relations of a catalog, each edge on both of its ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from servers.catalog.refs import DEFAULT_NAMESPACE, parse_ref

Edge = tuple[str, str]
"""(relation type, target ref)."""

PAIRS: Mapping[str, str] = {
    "ownedBy": "ownerOf",
    "dependsOn": "dependencyOf",
    "providesApi": "apiProvidedBy",
    "consumesApi": "apiConsumedBy",
    "partOf": "hasPart",
    "childOf": "parentOf",
    "memberOf": "hasMember",
}
OPPOSITE: Mapping[str, str] = {**PAIRS, **{back: forth for forth, back in PAIRS.items()}}


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of spec that names entities; ``kind`` is the kind when the reference gives none, None if it must."""

    field: str
    kind: str | None
    relation: str


_OWNER = Reference("owner", "group", "ownedBy")
_SYSTEM = Reference("system", "system", "partOf")
_DEPENDS = (Reference("dependsOn", None, "dependsOn"), Reference("dependencyOf", None, "dependencyOf"))

REFERENCES: Mapping[str, tuple[Reference, ...]] = {
    "Component": (
        _OWNER,
        _SYSTEM,
        Reference("subcomponentOf", "component", "partOf"),
        Reference("providesApis", "api", "providesApi"),
        Reference("consumesApis", "api", "consumesApi"),
        *_DEPENDS,
    ),
    "API": (_OWNER, _SYSTEM),
    "Resource": (_OWNER, _SYSTEM, *_DEPENDS),
    "System": (_OWNER, Reference("domain", "domain", "partOf")),
    "Domain": (_OWNER, Reference("subdomainOf", "domain", "partOf")),
    "Group": (
        Reference("parent", "group", "childOf"),
        Reference("children", "group", "parentOf"),
        Reference("members", "user", "hasMember"),
    ),
    "User": (Reference("memberOf", "group", "memberOf"),),
    "Template": (_OWNER,),
}


SORTED = frozenset({"providesApis", "consumesApis", "dependsOn", "dependencyOf", "memberOf", "children", "members"})


def declared(data: Mapping[str, Any]) -> list[Edge]:
    """Return the edges that a valid descriptor declares, seen from it."""
    spec = data.get("spec") or {}
    namespace = data["metadata"].get("namespace") or DEFAULT_NAMESPACE
    found: list[Edge] = []
    for rule in REFERENCES.get(data["kind"], ()):
        value = spec.get(rule.field)
        texts = value if isinstance(value, list) else [value] if value else []
        found += [(rule.relation, str(parse_ref(text, kind=rule.kind, namespace=namespace))) for text in texts]
    return found


def both_ways(entities: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Edge]]:
    """Return every entity's relations, sorted, without doubles: those it declares and those that others declare to it.

    The target of a relation need not be among the entities; only those given have a list.
    """
    found: dict[str, set[Edge]] = {}
    pending: list[tuple[str, Edge]] = []
    for ref, data in entities:
        edges = declared(data)
        found[ref] = set(edges)
        pending += [(target, (OPPOSITE[kind], ref)) for kind, target in edges]
    for target, edge in pending:
        if target in found:
            found[target].add(edge)
    return {ref: sorted(edges) for ref, edges in found.items()}


def in_order(spec: Any) -> Any:
    """Return a spec whose lists of references are sorted, since relations have no order: so Backstage shows them."""
    if not isinstance(spec, Mapping):
        return spec
    return {
        name: sorted(value, key=_utf16) if name in SORTED and _all_text(value) else value
        for name, value in spec.items()
    }


def _all_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")
