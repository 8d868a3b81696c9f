"""The parameters of a tool, read from its input schema: in stub order, required ones first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.catalogue.schema import Schema, target

MAX_ALTERNATIVES = 32


@dataclass(frozen=True, slots=True)
class Parameter:
    """One property of the arguments. ``name`` is the upstream's."""

    name: str
    schema: Any
    required: bool


def parameters(root: Schema) -> list[Parameter]:
    """Return the parameters that a schema names. With alternatives (anyOf, oneOf) at its root, a parameter is required
    only when every alternative requires it.
    """
    properties, required = _collect(root, root, 0)
    found = [Parameter(name, schema, name in required) for name, schema in properties.items()]
    found += [Parameter(name, True, required=True) for name in sorted(required - properties.keys())]
    return sorted(found, key=lambda parameter: not parameter.required)


def _collect(root: Schema, schema: Any, depth: int) -> tuple[dict[str, Any], set[str]]:
    if not isinstance(schema, Mapping) or depth > MAX_ALTERNATIVES:
        return {}, set()
    declared = schema.get("properties")
    properties = dict(declared) if isinstance(declared, Mapping) else {}
    names = schema.get("required")
    required = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    reference = schema.get("$ref")
    parts = [target(root, reference)] if isinstance(reference, str) else []
    parts += _list(schema, "allOf")
    for part in parts:
        more, needed = _collect(root, part, depth + 1)
        properties = {**more, **properties}
        required |= needed
    for keyword in ("anyOf", "oneOf"):
        options = [_collect(root, option, depth + 1) for option in _list(schema, keyword)[:MAX_ALTERNATIVES]]
        for more, _ in options:
            properties = {**more, **properties}
        if options:
            required |= set.intersection(*(needed for _, needed in options))
    for keyword in ("then", "else"):
        properties = {**_collect(root, schema.get(keyword), depth + 1)[0], **properties}
    return properties, required


def _list(schema: Schema, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []
