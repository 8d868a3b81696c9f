"""One difference, and how values of both sides are made comparable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.running import ROOT

BOOKKEEPING = frozenset(
    {
        "backstage.io/managed-by-location",
        "backstage.io/managed-by-origin-location",
        "backstage.io/orphan",
        "backstage.io/view-url",
        "backstage.io/edit-url",
    }
)
MAX_SHOWN_CHARS = 160
LOCATION, ORIGIN = "backstage.io/managed-by-location", "backstage.io/managed-by-origin-location"


@dataclass(frozen=True, slots=True)
class Difference:
    """Both sides answer ``subject`` differently; ``subject`` is stable from run to run."""

    area: str
    subject: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.area} | {self.subject}\n    ours:   {_short(self.ours)}\n    theirs: {_short(self.theirs)}"


@dataclass(slots=True)
class Comparison:
    """What one area compared: the number of answers, and where they differ."""

    area: str
    count: int
    differences: list[Difference]


def ref_of(entity: dict[str, Any]) -> str:
    """Return the reference of an entity as Backstage answers it."""
    metadata = entity["metadata"]
    return f"{entity['kind']}:{metadata.get('namespace', 'default')}/{metadata['name']}".lower()


def plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata without what each catalog notes for itself."""
    kept = {name: value for name, value in metadata.items() if name not in {"uid", "etag"}}
    kept["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in BOOKKEEPING}
    return kept


def place(annotation: str | None) -> str | None:
    """Return a location annotation with its path relative to the repository."""
    return annotation.replace(f"file:{ROOT}/", "file:") if annotation else annotation


def diverging(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, ours, theirs) for the deepest values that differ; numbers are those of JavaScript, so ``1`` is ``1.0``."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from diverging(ours.get(key, _ABSENT), theirs.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from diverging(one, other, f"{path}.{at}")
    elif not _equal(ours, theirs):
        yield path, ours, theirs


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return float(ours) == float(theirs)
    return bool(ours == theirs)


_ABSENT = "(absent)"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}… ({len(text)} characters)"
