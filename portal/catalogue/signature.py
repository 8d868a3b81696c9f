"""One tool as types, before names: its parameters, what it answers, and the records that both use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portal.catalogue import clean
from portal.catalogue.convert import Converter
from portal.catalogue.fingerprints import fingerprints, inside
from portal.catalogue.naming import type_name
from portal.catalogue.parameters import parameters
from portal.catalogue.records import Tool
from portal.catalogue.shapes import ANY, ListOf, Named, Record, Shape, nested

MAX_DESCRIPTION_CHARS = 400
MAX_DEFAULT_CHARS = 40
MAX_PATTERN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a stub. ``default`` is Python text; ``...`` when it is not known or long."""

    name: str
    shape: Shape
    required: bool
    default: str
    description: str
    bounds: str


@dataclass(frozen=True, slots=True)
class Signature:
    """``records`` maps the keys that shapes name to records; keys that begin with ``>`` belong to the answer."""

    arguments: tuple[Argument, ...]
    returns: Shape
    records: Mapping[str, Record] = field(hash=False)
    prints: Mapping[str, str] = field(hash=False)

    def reachable(self, shape: Shape) -> list[str]:
        """Return the keys of every record that a shape leads to, nearest first."""
        found: dict[str, None] = {}
        level = list(nested(shape))
        while level:
            fresh = [key for key in dict.fromkeys(level) if key not in found]
            found.update(dict.fromkeys(fresh))
            level = [key for parent in fresh for key in inside(self.records, parent)]
        return list(found)

    def nearby(self) -> list[str]:
        """Return the keys of what a caller must see: all that the arguments are made of, and the answer one level deep.

        A record that only carries a list of one other record, as a page does, is not a level of its own.
        """
        keys = [key for argument in self.arguments for key in self.reachable(argument.shape)]
        for key in nested(self.returns):
            keys += [key, *self._carried(key)]
        return list(dict.fromkeys(keys))

    def _carried(self, key: str) -> list[str]:
        inner = inside(self.records, key)
        lists = [
            f.shape for f in self.records[key].fields if isinstance(f.shape, ListOf) and isinstance(f.shape.item, Named)
        ]
        return inner if len(inner) == 1 and len(lists) == 1 else []


def signature(tool: Tool) -> Signature:
    """Return the types of one tool. Bounded work, never raises for what a schema holds once it has been gathered."""
    inputs = Converter(tool.input_schema, answers=False, prefix="<")
    by_name = {parameter.name: parameter for parameter in parameters(tool.input_schema)}
    arguments = []
    for python_name, name in tool.parameters.items():
        found = by_name[name]
        described = found.schema if isinstance(found.schema, Mapping) else {}
        arguments.append(
            Argument(
                python_name,
                inputs.shape(found.schema, f"#/properties/{name}", type_name(name) or "Argument"),
                found.required,
                _default(described),
                clean.line(described.get("description"), MAX_DESCRIPTION_CHARS),
                bounds(described),
            )
        )
    returns, answers = _answer(tool)
    records = {**inputs.records, **answers}
    return Signature(tuple(arguments), returns, records, fingerprints(records))


def bounds(schema: Mapping[str, Any]) -> str:
    """Return what a type cannot say and a caller must know: range, number of items, format, a short pattern."""
    options = schema.get("anyOf")
    candidates = [schema, *(o for o in (options if isinstance(options, list) else []) if isinstance(o, Mapping))]
    for found in candidates:
        parts = [_range(found, "minimum", "maximum"), _range(found, "minItems", "maxItems", " items")]
        kind = found.get("format")
        if isinstance(kind, str) and len(kind) < 30:
            parts.append(clean.line(kind, 30))
        pattern = found.get("pattern")
        if isinstance(pattern, str) and len(pattern) <= MAX_PATTERN_CHARS and not kind:
            parts.append(clean.line(pattern, MAX_PATTERN_CHARS))
        text = ", ".join(part for part in parts if part)
        if text:
            return text
    return ""


def _answer(tool: Tool) -> tuple[Shape, Mapping[str, Record]]:
    """Return what a program receives: an answer that is only ``{"result": …}`` arrives unwrapped."""
    schema = tool.output_schema
    if schema is None:
        return ANY, {}
    converter = Converter(schema, answers=True, prefix=">")
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and set(properties) == {"result"} and "result" in schema.get("required", ()):
        shape = converter.shape(properties["result"], "#/properties/result", "Result")
    else:
        shape = converter.shape(schema, "#", f"{type_name(tool.python_name)}Result")
    return shape, converter.records


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return "..."
    value = schema["default"]
    if isinstance(value, str):
        text = clean.literal(value)
    elif value is None or isinstance(value, bool | int | float) or value in ([], {}):
        text = repr(value)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = f"[{', '.join(clean.literal(item) for item in value)}]"
    else:
        return "..."
    return text if len(text) <= MAX_DEFAULT_CHARS else "..."


def _range(schema: Mapping[str, Any], low: str, high: str, unit: str = "") -> str:
    least = schema.get(low, schema.get(f"exclusive{low[0].upper()}{low[1:]}"))
    most = schema.get(high, schema.get(f"exclusive{high[0].upper()}{high[1:]}"))
    sides = [
        "" if not isinstance(n, int | float) or isinstance(n, bool) or abs(n) > 2**31 else f"{n:g}"
        for n in (least, most)
    ]
    if not any(sides) or sides in (["0", ""], ["1", ""]):
        return ""
    return f"{sides[0]}..{sides[1]}{unit}"
