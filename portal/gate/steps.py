"""How many steps a schema can cost a validator that remembers nothing, for a value of small depth.

The catalogue bounds what one look at one value costs; here the levels of a value multiply that: a definition whose two
branches both go down into the same key and name the definition again doubles the steps with every level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portal.catalogue.schema import target

MAX_DEPTH = 8
MAX_STEPS = 20_000

_SAME_LEVEL = ("not", "if", "then", "else")
_SAME_LEVEL_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_LEVEL_NAMED = ("dependentSchemas", "dependencies")
_DOWN = (
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
)
_DOWN_LISTS = ("items", "prefixItems")
_DOWN_NAMED = ("properties", "patternProperties")

Schema = Mapping[str, Any]


def few_steps(root: Schema) -> bool:
    """Say whether judging a value of at most MAX_DEPTH levels takes at most about MAX_STEPS, whatever is in it."""
    waiting: list[tuple[Schema, int]] = [(root, 0)]
    for _ in range(MAX_STEPS):
        if not waiting:
            return True
        node, depth = waiting.pop()
        waiting += [(child, depth) for child in _same_level(root, node)]
        if depth < MAX_DEPTH:
            waiting += [(child, depth + 1) for child in _down(node)]
        if len(waiting) > MAX_STEPS:
            return False
    return not waiting


def _same_level(root: Schema, node: Schema) -> Iterator[Schema]:
    yield from _schemas(node.get(keyword) for keyword in _SAME_LEVEL)
    for keyword in _SAME_LEVEL_LISTS:
        yield from _schemas(_list(node, keyword))
    for keyword in _SAME_LEVEL_NAMED:
        yield from _schemas(_values(node, keyword))
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        reference = node.get(keyword)
        if isinstance(reference, str):
            yield from _schemas([target(root, reference)])


def _down(node: Schema) -> Iterator[Schema]:
    yield from _schemas(node.get(keyword) for keyword in _DOWN)
    for keyword in _DOWN_LISTS:
        yield from _schemas(_list(node, keyword))
    for keyword in _DOWN_NAMED:
        yield from _schemas(_values(node, keyword))


def _schemas(found: Any) -> Iterator[Schema]:
    return (value for value in found if isinstance(value, Mapping))


def _list(node: Schema, keyword: str) -> list[Any]:
    value = node.get(keyword)
    return value if isinstance(value, list) else []


def _values(node: Schema, keyword: str) -> list[Any]:
    value = node.get(keyword)
    return list(value.values()) if isinstance(value, Mapping) else []
