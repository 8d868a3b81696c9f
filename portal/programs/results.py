"""A program's value as the text that the agent reads: whole when it fits, cut by structure when it does not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

MIN_STRING_CHARS = 80
MAX_PLACES = 3
_OVERHEAD_CHARS = 4
_PLAIN_KEY = re.compile(r"[\w-]{1,40}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """JSON text, and what is not in it: "" when it is the whole value."""

    text: str
    left_out: str = ""


@dataclass(slots=True)
class _Cuts:
    """What a cut left out: (path, shown, total, unit) of each place."""

    places: list[tuple[tuple[str, ...], int, int, str]] = field(default_factory=list)

    def note(self, path: tuple[str, ...], shown: int, total: int, unit: str) -> None:
        """Note a place. Where items are missing, it does not matter how whole the others are."""
        self.places = [place for place in self.places if place[0][: len(path)] != path]
        self.places.append((path, shown, total, unit))

    def told(self) -> str:
        """Say it in one phrase, the outermost places first: they are what a reader would ask for."""
        places = sorted(self.places, key=lambda place: len(place[0]))
        said = [f"{_named(path)}{shown:,} of {total:,} {unit}" for path, shown, total, unit in places[:MAX_PLACES]]
        more = len(places) - MAX_PLACES
        if more > 0:
            said.append(f"{more:,} more place{'s' if more > 1 else ''}")
        return "shows " + "; ".join(said)


def _named(path: tuple[str, ...]) -> str:
    return f"{''.join(path).removeprefix('.')}: " if path else ""


def render(value: Any, max_chars: int) -> Rendered:
    """Return JSON text of at most about ``max_chars``. Cut text is still valid JSON and says where it was cut.

    ``value`` must be JSON already and bounded (the sandbox guarantees both).
    """
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    if len(text) <= max_chars:
        return Rendered(text)
    budget = max_chars
    while True:
        cuts = _Cuts()
        text = json.dumps(_cut(value, budget, (), cuts)[0], ensure_ascii=False, separators=(", ", ": "))
        if len(text) <= max_chars or budget < MIN_STRING_CHARS:
            return Rendered(text, cuts.told())
        budget = budget * 3 // 4


def _cut(value: Any, budget: int, path: tuple[str, ...], cuts: _Cuts) -> tuple[Any, int]:
    """Return (the value within about ``budget`` characters, characters used)."""
    if isinstance(value, str):
        return _cut_string(value, budget, path, cuts)
    if isinstance(value, list):
        return _cut_list(value, budget, path, cuts)
    if isinstance(value, dict):
        return _cut_dict(value, budget, path, cuts)
    return value, len(json.dumps(value))


def _cut_string(value: str, budget: int, path: tuple[str, ...], cuts: _Cuts) -> tuple[str, int]:
    keep = max(budget - 40, MIN_STRING_CHARS)
    if len(value) <= keep:
        return value, len(value) + 2
    cuts.note(path, keep, len(value), "characters")
    return f"{value[:keep]}… ({len(value) - keep} more characters)", keep + 30


def _cut_list(value: list[Any], budget: int, path: tuple[str, ...], cuts: _Cuts) -> tuple[list[Any], int]:
    kept: list[Any] = []
    used = _OVERHEAD_CHARS
    for position, item in enumerate(value):
        if used + 30 >= budget:
            kept.append(f"… {len(value) - position} more of {len(value)} items")
            cuts.note(path, position, len(value), "items")
            return kept, used + 30
        cut, size = _cut(item, budget - used, (*path, f"[{position}]"), cuts)
        kept.append(cut)
        used += size + 2
    return kept, used


def _cut_dict(value: dict[str, Any], budget: int, path: tuple[str, ...], cuts: _Cuts) -> tuple[dict[str, Any], int]:
    kept: dict[str, Any] = {}
    used = _OVERHEAD_CHARS
    for position, (key, item) in enumerate(value.items()):
        left = len(value) - position
        if used + len(key) + 10 >= budget:
            kept["…"] = f"{left} more of {len(value)} keys"
            cuts.note(path, position, len(value), "keys")
            return kept, used + 30
        # A key may be a vendor's words: in a sentence of ours only what reads like a name.
        place = (*path, f".{key if _PLAIN_KEY.fullmatch(key) else '…'}")
        # Each key gets its fair share of what is left, so that one long value does not hide the keys after it.
        cut, size = _cut(item, max((budget - used) // left, MIN_STRING_CHARS) - len(key), place, cuts)
        kept[key] = cut
        used += len(key) + size + _OVERHEAD_CHARS
    return kept, used
