"""Which JSON Schemas we take from an upstream, and where their references lead.

A schema that is admitted is bounded (bytes, depth, width of its references), refers only to itself, and compiles in the
linear-time validator that judges every call. Nothing here recurses over an upstream's nesting.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

MAX_BYTES = 65_536
MAX_DEPTH = 48
MAX_EXPANSION = 50_000

_DATA = frozenset({"const", "enum", "default", "examples", "example"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

Schema = Mapping[str, Any]


def fault(schema: object) -> str:
    """Return why a schema is not taken; empty when it is."""
    if not isinstance(schema, dict):
        return "the schema is not an object"
    if too_deep(schema):
        return f"the schema is nested more than {MAX_DEPTH} levels"
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError):
        return "the schema is not JSON"
    if size > MAX_BYTES:
        return f"the schema has {size} bytes, more than {MAX_BYTES}"
    return _bad_references(schema)


def _bad_references(schema: dict[str, Any]) -> str:
    walked = {id(node) for node in nodes(schema)}
    for node in nodes(schema):
        # An embedded document has references of its own that we would read differently from the validator.
        if node is not schema and isinstance(node.get("$id"), str):
            return "the schema holds another schema document"
        for keyword in _REFERENCES:
            reference = node.get(keyword)
            if isinstance(reference, str) and not _resolves(schema, reference, walked):
                return "the schema refers to something that is not in it"
    if _endless(schema):
        return "the schema's references multiply without bound"
    return ""


def compiles(schema: Schema) -> bool:
    """Say whether the validator takes the schema, with patterns that match in linear time only."""
    try:
        jsonschema_rs.validator_for(dict(schema), pattern_options=jsonschema_rs.RegexOptions(), retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError):
        return False
    return True


def repaired(schema: Schema) -> dict[str, Any]:
    """Return a copy that says a little less, so that the validator takes it: without the patterns that need
    backtracking (the upstream itself still judges by them) and an unknown ``$schema``; older drafts' bounds and tuples
    rewritten.
    """
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    if not compiles({"$schema": copy.get("$schema", "")}):
        copy.pop("$schema", None)
    for node in nodes(copy):
        pattern = node.get("pattern")
        if isinstance(pattern, str) and not compiles({"pattern": pattern}):
            del node["pattern"]
        if isinstance(node.get("items"), list):
            node["prefixItems"] = node.pop("items")
            node["items"] = node.pop("additionalItems", True)
        for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and bound in node:
                node[exclusive] = node.pop(bound)
    return copy


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema that may be a schema; never those inside enum, const, default and examples."""
    waiting: list[tuple[Any, bool]] = [(schema, False)]
    while waiting:
        value, names_schemas = waiting.pop()
        if isinstance(value, list):
            waiting += [(child, False) for child in value]
        elif isinstance(value, dict) and names_schemas:
            waiting += [(child, False) for child in value.values()]
        elif isinstance(value, dict):
            yield value
            waiting += [(child, key in _NAMED) for key, child in value.items() if key not in _DATA]


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Say whether a JSON value nests deeper than ``limit``, without recursion."""
    level, depth = [value], 0
    while level:
        if depth > limit:
            return True
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1
    return False


def target(root: Schema, reference: str) -> Any:
    """Return what a local reference (``#`` or ``#/pointer``, RFC 6901) names. Raises LookupError when nothing."""
    fragment = unquote(reference[1:])
    value: Any = root
    if fragment and not fragment.startswith("/"):
        raise LookupError(reference)
    for part in fragment.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise LookupError(reference)
    return value


def _resolves(root: Schema, reference: str, walked: set[int]) -> bool:
    if not reference.startswith("#"):
        return False
    try:
        found = target(root, reference)
    except LookupError:
        return False
    # A target inside enum or default would be a schema that none of these checks has seen.
    return isinstance(found, bool) or id(found) in walked


def _endless(root: dict[str, Any]) -> bool:
    """Say whether one look at one value could cost the validator more than a bounded number of steps.

    Ten definitions that each name the next one twice are a thousand steps ("billion laughs"); a definition that names
    itself in place never ends. Keywords that go down into the value are bounded by the value itself.
    """
    costs: dict[int, int] = {}
    open_ids: set[int] = set()
    for start in nodes(root):
        stack = [start]
        while stack:
            node = stack[-1]
            children = _in_place(root, node)
            unknown = [child for child in children if id(child) not in costs]
            if unknown and id(node) not in open_ids:
                open_ids.add(id(node))
                stack += unknown
                continue
            if unknown:
                return True
            stack.pop()
            costs[id(node)] = 1 + sum(costs[id(child)] for child in children)
            if costs[id(node)] > MAX_EXPANSION:
                return True
    return False


def _in_place(root: Schema, node: Schema) -> list[dict[str, Any]]:
    found: list[Any] = [node[k] for k in _IN_PLACE if k in node]
    for keyword in _IN_PLACE_LISTS:
        options = node.get(keyword)
        found += options if isinstance(options, list) else []
    for keyword in _REFERENCES:
        reference = node.get(keyword)
        if isinstance(reference, str):
            found.append(target(root, reference))
    return [child for child in found if isinstance(child, dict)]


def _refuse(uri: str) -> Any:
    """Keep the validator from fetching what a schema names: it would do so from inside our network."""
    raise ValueError(f"not fetched: {uri[:100]}")
