"""JSON Schema (2020-12, and what older drafts leave in the wild) to shapes.

A shape is never narrower than its schema, with one exception made on purpose: an object with ``properties`` that says
nothing about others is taken to have no others, so that a misspelt key is found before a program runs.
Work is bounded whatever the schema; past the bound a part is ``Any``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portal.catalogue import clean
from portal.catalogue.merge import both, mapping
from portal.catalogue.naming import type_name
from portal.catalogue.schema import Schema, target
from portal.catalogue.shapes import (
    ANY,
    NONE,
    STR,
    Atom,
    DictOf,
    Field,
    ListOf,
    Named,
    Record,
    Shape,
    TupleOf,
    choice,
    either,
)

_DEFINITION = re.compile(r"#/(?:\$defs|definitions)/[^/]+")

MAX_NODES = 2_000
MAX_RECORDS = 300
MAX_DEPTH = 40
MAX_LITERALS = 100
MAX_LITERAL_CHARS = 120
MAX_FIELDS = 300
MAX_FIELD_DESCRIPTION_CHARS = 300
MAX_TITLE_CHARS = 40

_ATOMS = {"string": STR, "integer": Atom("int"), "number": Atom("float"), "boolean": Atom("bool"), "null": NONE}
_ARRAY_WORDS = frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"})
_OBJECT_WORDS = frozenset({"properties", "patternProperties", "additionalProperties", "required", "propertyNames"})
_STRUCTURE = frozenset({"type", "enum", "const", "$ref", "allOf", "anyOf", "oneOf", "nullable"}) | (
    _ARRAY_WORDS | _OBJECT_WORDS
)
_NARROWING = frozenset({"required", "not", "description", "title", "minProperties", "maxProperties"})


class Converter:
    """Converts the parts of one schema document. ``records`` fills up with what the shapes name.

    ``answers``: the value comes from a tool, so that a fixed-length array is a tuple; a program passes a list.
    """

    def __init__(self, root: Schema, *, answers: bool, prefix: str) -> None:
        self._root = root
        self._answers = answers
        self._prefix = prefix
        self._left = MAX_NODES
        self._references: dict[str, Shape] = {}
        self._open: set[str] = set()
        self.records: dict[str, Record] = {}

    def shape(self, schema: Any, path: str, hint: str, depth: int = 0) -> Shape:
        """Return the shape of a schema at ``path``; ``hint`` names a record that has no title."""
        self._left -= 1
        if not isinstance(schema, Mapping) or self._left < 0 or depth > MAX_DEPTH:
            return ANY
        reference = schema.get("$ref")
        if isinstance(reference, str) and not (_STRUCTURE - {"$ref"}) & schema.keys():
            return self._reference(reference, hint, depth)
        whole = self._merged(schema, depth)
        if "const" in whole:
            return _literals([whole["const"]])
        if isinstance(whole.get("enum"), list):
            return _literals([*whole["enum"], *([None] if whole.get("nullable") is True else [])])
        for keyword in ("anyOf", "oneOf"):
            options = whole.get(keyword)
            if isinstance(options, list) and options:
                return self._alternatives(whole, keyword, path, hint, depth)
        return self._typed(whole, path, hint, depth)

    def _reference(self, reference: str, hint: str, depth: int) -> Shape:
        if reference in self._references:
            return self._references[reference]
        found = target(self._root, reference)
        key = f"{self._prefix}{reference}"
        if reference in self._open or key in self.records:
            return self._again(found, key)
        name = type_name(reference.rsplit("/", 1)[-1])
        self._open.add(reference)
        made = self.shape(found, reference, hint if name == "Items" else name or hint, depth + 1)
        self._open.discard(reference)
        self._references[reference] = made
        return made

    def _again(self, schema: Any, key: str) -> Shape:
        """Return the shape of a schema that is being converted further up: a record may hold itself; for any other
        self-reference there is no Python name, and it is Any.
        """
        if key not in self.records or not isinstance(schema, Mapping):
            return ANY
        kinds = schema.get("type", "object")
        names = set(kinds) if isinstance(kinds, list) else {kinds}
        if not names <= {"object", "null"}:
            return ANY
        optional = "null" in names or schema.get("nullable") is True
        return either([Named(key), NONE] if optional else [Named(key)])

    def _alternatives(self, whole: dict[str, Any], keyword: str, path: str, hint: str, depth: int) -> Shape:
        options: list[Any] = whole[keyword]
        base = {key: value for key, value in whole.items() if key != keyword}
        if all(isinstance(option, Mapping) and option.keys() <= _NARROWING for option in options):
            return self.shape(base, path, hint, depth + 1)
        bare = not (_STRUCTURE & base.keys() - {"title", "description", "type"})
        shapes = []
        for number, option in enumerate(options):
            if isinstance(option, Mapping) and bare and ("type" not in base or {"type", "$ref"} & option.keys()):
                joined: Any = option
            else:
                joined = {"allOf": [base, option]}
            place = path if len(options) == 1 else f"{path}|{number}"
            shapes.append(self.shape(joined, place, hint, depth + 1))
        return either(shapes + ([NONE] if whole.get("nullable") is True else []))

    def _typed(self, whole: dict[str, Any], path: str, hint: str, depth: int) -> Shape:
        kinds = whole.get("type")
        names = kinds if isinstance(kinds, list) else [kinds] if isinstance(kinds, str) else _guessed(whole)
        shapes: list[Shape] = []
        for name in names:
            if name == "array":
                shapes.append(self._array(whole, path, hint, depth))
            elif name == "object":
                shapes.append(self._object(whole, path, hint, depth))
            else:
                shapes.append(_ATOMS.get(str(name), ANY))
        if whole.get("nullable") is True:
            shapes.append(NONE)
        return either(shapes)

    def _array(self, whole: dict[str, Any], path: str, hint: str, depth: int) -> Shape:
        items = whole.get("items", True)
        first = whole.get("prefixItems", items if isinstance(items, list) else None)
        rest = whole.get("additionalItems", True) if isinstance(items, list) else items
        singular = hint[:-1] if hint.endswith("s") and not hint.endswith("ss") else hint
        if not isinstance(first, list) or not first:
            return ListOf(self.shape(rest, f"{path}/items", singular, depth + 1))
        shapes = [self.shape(item, f"{path}/prefixItems/{n}", singular, depth + 1) for n, item in enumerate(first)]
        closed = rest is False or whole.get("maxItems") == len(first)
        if self._answers and closed and whole.get("minItems") == len(first):
            return TupleOf(tuple(shapes))
        more = [] if closed else [self.shape(rest, f"{path}/items", singular, depth + 1)]
        return ListOf(either(shapes + more))

    def _object(self, whole: dict[str, Any], path: str, hint: str, depth: int) -> Shape:
        properties = mapping(whole.get("properties"))
        extra = self._extra(whole, path, hint, depth)
        if not properties and not (isinstance(whole.get("required"), list) and whole["required"]):
            return DictOf(extra or ANY)
        names = {name for name in whole.get("required", ()) if isinstance(name, str)}
        if len(properties) > MAX_FIELDS or len(self.records) >= MAX_RECORDS:
            return DictOf(ANY)
        key = f"{self._prefix}{path}"
        title = _title(whole.get("title")) or (hint if _DEFINITION.fullmatch(path) else "")
        # Registered before its fields are looked at: they may lead back here.
        self.records[key] = Record((), None, title, hint)
        fields = [
            Field(
                name,
                self.shape(schema, f"{path}/properties/{name}", type_name(name) or hint, depth + 1),
                name in names,
                clean.line(schema.get("description"), MAX_FIELD_DESCRIPTION_CHARS)
                if isinstance(schema, Mapping)
                else "",
            )
            for name, schema in properties.items()
            if schema is not False
        ]
        fields += [Field(name, extra or ANY, required=True) for name in sorted(names - properties.keys())]
        self.records[key] = Record(tuple(fields), extra, title, hint)
        return Named(key)

    def _extra(self, whole: dict[str, Any], path: str, hint: str, depth: int) -> Shape | None:
        found: list[Shape] = []
        others = whole.get("additionalProperties")
        if others is True or isinstance(others, Mapping):
            found.append(self.shape(others, f"{path}/additionalProperties", hint, depth + 1))
        for number, schema in enumerate(mapping(whole.get("patternProperties")).values()):
            found.append(self.shape(schema, f"{path}/patternProperties/{number}", hint, depth + 1))
        return either(found) if found else None

    def _merged(self, schema: Schema, depth: int) -> dict[str, Any]:
        """Return a schema with its ``allOf`` and a ``$ref`` beside other keywords folded in."""
        whole = {key: value for key, value in schema.items() if key not in {"allOf", "$ref"}}
        parts = schema.get("allOf")
        parts = list(parts) if isinstance(parts, list) else []
        reference = schema.get("$ref")
        if isinstance(reference, str):
            parts.insert(0, target(self._root, reference))
        for part in parts:
            self._left -= 1
            if isinstance(part, Mapping) and self._left > 0 and depth < MAX_DEPTH:
                whole = both(whole, self._merged(part, depth + 1))
        for branch in ("then", "else"):
            added = mapping(mapping(whole.get(branch)).get("properties"))
            if added and "properties" in whole:
                whole["properties"] = {**added, **whole["properties"]}
        return whole


def _literals(values: list[Any]) -> Shape:
    if len(values) > MAX_LITERALS:
        return either([_of_value(value) for value in values])
    return either([choice([value]) if _is_literal(value) else _of_value(value) for value in values])


def _is_literal(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_LITERAL_CHARS
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63)


def _of_value(value: Any) -> Shape:
    if value is None:
        return NONE
    for kind, shape in ((bool, Atom("bool")), (int, Atom("int")), (float, Atom("float")), (str, STR)):
        if isinstance(value, kind):
            return shape
    return ListOf(ANY) if isinstance(value, list) else DictOf(ANY)


def _guessed(whole: dict[str, Any]) -> list[str]:
    if "properties" in whole or isinstance(whole.get("additionalProperties"), Mapping):
        return ["object"]
    if "items" in whole or "prefixItems" in whole:
        return ["array"]
    return ["any"]


def _title(value: Any) -> str:
    """Return the type name that an author gave; a title that is a sentence is none."""
    return type_name(value) if isinstance(value, str) and len(value) <= MAX_TITLE_CHARS else ""
