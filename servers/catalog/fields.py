"""Dotted paths into a descriptor: what filters see of an entity, and what ``fields`` selects.

Both follow Backstage: a key may have dots itself (``metadata.annotations.backstage.io/source-location``), an item of a
list of texts is also a key (``metadata.tags.java``), and a relation is a key of its type (``relations.ownedBy``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_VALUE_CHARS = 200


def keys_of(data: Mapping[str, Any], relations: Sequence[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Return lower-case dotted key -> lower-case values. A key whose value is null or very long has no values."""
    found: dict[str, set[str]] = {}
    for key, value in _flat(data, ""):
        values = found.setdefault(key.lower(), set())
        if value is not None:
            values.add(value.lower())
    for kind, target in relations:
        found.setdefault(f"relations.{kind}".lower(), set()).add(target)
    return {key: frozenset(values) for key, values in found.items()}


def select(data: Any, path: str) -> Any:
    """Return the value at a dotted path, None when there is none; the longest key that fits is taken first."""
    if not path:
        return data
    if isinstance(data, Mapping):
        names = path.split(".")
        for count in range(len(names), 0, -1):
            key = ".".join(names[:count])
            if key in data:
                found = select(data[key], ".".join(names[count:]))
                if found is not None or count == len(names):
                    return found
    if isinstance(data, list):
        head, _, rest = path.partition(".")
        if head.isascii() and head.isdigit() and len(head) < 6 and int(head) < len(data):
            return select(data[int(head)], rest)
    return None


def as_text(value: Any) -> str | None:
    """Return a scalar as filters compare it, None for null and for what is no scalar."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _flat(value: Any, path: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item, path)
            if isinstance(item, str) and len(item) <= MAX_VALUE_CHARS:
                yield f"{path}.{item}", "true"
    else:
        text = as_text(value)
        yield path, text if text is not None and len(text) <= MAX_VALUE_CHARS else None
