"""``allOf``: two schemas as one that allows at least what both allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def both(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows at least what both allow."""
    whole = {**two, **one}
    if "properties" in one and "properties" in two:
        first, second = mapping(one["properties"]), mapping(two["properties"])
        whole["properties"] = {
            name: {"allOf": [first[name], second[name]]}
            if name in first and name in second
            else {**second, **first}[name]
            for name in [*first, *(n for n in second if n not in first)]
        }
    if isinstance(one.get("required"), list) and isinstance(two.get("required"), list):
        whole["required"] = [*one["required"], *two["required"]]
    if "enum" in one and "enum" in two and isinstance(one["enum"], list) and isinstance(two["enum"], list):
        whole["enum"] = [value for value in one["enum"] if value in two["enum"]] or one["enum"]
    if "type" in one and "type" in two:
        common = _common_types(one["type"], two["type"])
        whole["type"] = common or one["type"]
    for keyword in ("anyOf", "oneOf"):
        if keyword in one and keyword in two:
            whole[keyword] = one[keyword]  # The cross product could be large; less is said, nothing false.
    if one.get("additionalProperties") is False or two.get("additionalProperties") is False:
        # Each part may forbid what the other declares; a type that lists both still accepts every valid value.
        whole["additionalProperties"] = False
    return whole


def _common_types(one: Any, two: Any) -> list[str]:
    first = one if isinstance(one, list) else [one]
    second = two if isinstance(two, list) else [two]
    return [name for name in first if name in second or (name == "integer" and "number" in second)] + [
        name for name in second if name == "integer" and "number" in first and "integer" not in first
    ]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return ``value`` when it is an object, and an empty one for what an upstream wrote in its place."""
    return value if isinstance(value, Mapping) else {}
