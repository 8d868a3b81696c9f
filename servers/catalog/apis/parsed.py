"""What the readers of definitions share: their result, their failure, and safe steps into unknown JSON."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from servers.catalog.apis.models import Operation
from servers.catalog.reading import BadYaml, load, load_json

MAX_NODES = 500_000
MAX_OPERATIONS = 5_000
MAX_SUMMARY_CHARS = 300


class BadDefinition(Exception):
    """The definition cannot be read as operations; the message says why."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The operations of a definition, in its order."""

    title: str | None
    version: str | None
    operations: list[Operation]


def document(text: str) -> dict[str, Any]:
    """Return a YAML or JSON definition as a mapping. Raises BadDefinition."""
    try:
        value = _json_or_yaml(text)
    except BadYaml as bad:
        raise BadDefinition(f"line {bad.line} of the definition: {bad.message}") from None
    if not isinstance(value, dict):
        raise BadDefinition("the definition is not a mapping")
    return value


def _json_or_yaml(text: str) -> Any:
    """Read JSON as JSON when it is: large definitions are, and YAML knows no escaped surrogate pairs."""
    if text.lstrip().startswith("{"):
        with suppress(BadYaml):
            return load_json(text)
    return load(text, max_nodes=MAX_NODES)


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the mapping at a path, an empty one when there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def words(value: Any) -> str | None:
    """Return text as one bounded line, None when there is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    line = " ".join(value.split())
    return line if len(line) <= MAX_SUMMARY_CHARS else line[: MAX_SUMMARY_CHARS - 1] + "…"


def schema_name(schema: Any) -> str | None:
    """Return how people would call a schema: the name it refers to, or its type."""
    if not isinstance(schema, Mapping):
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return reference.rpartition("/")[2]
    kind = schema.get("type")
    if kind == "array":
        return f"list of {schema_name(schema.get('items')) or 'anything'}"
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    return kind if isinstance(kind, str) else None
