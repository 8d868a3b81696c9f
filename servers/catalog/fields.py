"""Dotted paths into a descriptor: what filters see of an entity, and what ``fields`` selects.

Both follow Backstage: a key may have dots itself (``metadata.annotations.backstage.io/source-location``), an item of a
list of texts is also a key (``metadata.tags.java``), and a relation is a key of its type (``relations.ownedBy``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from servers.catalog.scalars import as_text

MAX_KEY_CHARS = 200
MAX_VALUE_CHARS = 200


def keys_of(data: Mapping[str, Any], relations: Sequence[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return lower-case dotted key -> lower-case value -> the value as it is written.

    A key whose value is null or very long has no values; a very long key is not there.
    """
    found: dict[str, dict[str, str]] = {}
    for key, value in _flat(data, ""):
        if len(key) <= MAX_KEY_CHARS:
            values = found.setdefault(key.lower(), {})
            if value is not None:
                values.setdefault(value.lower(), value)
    for kind, target in relations:
        found.setdefault(f"relations.{kind}".lower(), {})[target] = target
    return found


def same_but_for_case(data: Mapping[str, Any]) -> str | None:
    """Return a key that stands twice in different case, None when all can be told apart: filters have no case."""
    seen: dict[str, str] = {}
    for key, _ in _flat(data, ""):
        if seen.setdefault(key.lower(), key) != key:
            return key
    return None


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


def _flat(value: Any, path: str) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield from _items(value, path)
    else:
        text = as_text(value)
        yield path, text if text is not None and len(text) <= MAX_VALUE_CHARS else None


def _items(items: Sequence[Any], path: str) -> Iterator[tuple[str, str | None]]:
    seen = set()
    for item in items:
        yield from _flat(item, path)
        if isinstance(item, str) and item.lower() not in seen:
            seen.add(item.lower())
            yield f"{path}.{item}", "true"
