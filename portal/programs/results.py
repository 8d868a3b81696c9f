"""A program's value as the text that the agent reads: whole when it fits, cut by structure when it does not."""

from __future__ import annotations

import json
from typing import Any

MIN_STRING_CHARS = 80
_OVERHEAD_CHARS = 4


def render(value: Any, max_chars: int) -> tuple[str, bool]:
    """Return (JSON text of at most about ``max_chars``, whether anything was cut). Cut text is still valid JSON.

    ``value`` must be JSON already and bounded (the sandbox guarantees both).
    """
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    if len(text) <= max_chars:
        return text, False
    budget = max_chars
    while True:
        text = json.dumps(_cut(value, budget)[0], ensure_ascii=False, separators=(", ", ": "))
        if len(text) <= max_chars or budget < MIN_STRING_CHARS:
            return text, True
        budget = budget * 3 // 4


def _cut(value: Any, budget: int) -> tuple[Any, int]:
    """Return (the value within about ``budget`` characters, characters used)."""
    if isinstance(value, str):
        return _cut_string(value, budget)
    if isinstance(value, list):
        return _cut_list(value, budget)
    if isinstance(value, dict):
        return _cut_dict(value, budget)
    return value, len(json.dumps(value))


def _cut_string(value: str, budget: int) -> tuple[str, int]:
    keep = max(budget - 40, MIN_STRING_CHARS)
    if len(value) <= keep:
        return value, len(value) + 2
    return f"{value[:keep]}… ({len(value) - keep} more characters)", keep + 30


def _cut_list(value: list[Any], budget: int) -> tuple[list[Any], int]:
    kept: list[Any] = []
    used = _OVERHEAD_CHARS
    for position, item in enumerate(value):
        if used + 30 >= budget:
            kept.append(f"… {len(value) - position} more of {len(value)} items")
            return kept, used + 30
        cut, size = _cut(item, budget - used)
        kept.append(cut)
        used += size + 2
    return kept, used


def _cut_dict(value: dict[str, Any], budget: int) -> tuple[dict[str, Any], int]:
    kept: dict[str, Any] = {}
    used = _OVERHEAD_CHARS
    for position, (key, item) in enumerate(value.items()):
        left = len(value) - position
        if used + len(key) + 10 >= budget:
            kept["…"] = f"{left} more of {len(value)} keys"
            return kept, used + 30
        # Each key gets its fair share of what is left, so that one long value does not hide the keys after it.
        cut, size = _cut(item, max((budget - used) // left, MIN_STRING_CHARS) - len(key))
        kept[key] = cut
        used += len(key) + size + _OVERHEAD_CHARS
    return kept, used
