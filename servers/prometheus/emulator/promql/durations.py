"""Durations as Prometheus writes them: ``1h30m``, largest unit first, each at most once."""

from __future__ import annotations

import re

UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
MAX_MS = 2**63 // 1_000_000
_SHAPE = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS_MS))
_EXACT_ONLY = {"y", "w", "d"}


def parse_ms(text: str) -> int | None:
    """Return a duration in milliseconds, or None if the text is none."""
    found = _SHAPE.fullmatch(text)
    if not text or found is None or len(text) > 60:
        return None
    total = sum(int(count) * ms for count, ms in zip(found.groups(), UNITS_MS.values(), strict=True) if count)
    return total if total <= MAX_MS else None


def format_ms(duration_ms: int) -> str:
    """Return a duration as Prometheus prints it: years, weeks and days only where they come out even."""
    if duration_ms == 0:
        return "0s"
    left, text = duration_ms, ""
    for unit, ms in UNITS_MS.items():
        if unit in _EXACT_ONLY and left % ms:
            continue
        if count := left // ms:
            text += f"{count}{unit}"
            left -= count * ms
    return text
