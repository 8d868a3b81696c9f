"""``REQUIREMENTS.md`` as data: what the auth flow promises, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("REQUIREMENTS.md")
LEVELS = frozenset({"MUST", "SHOULD", "MAY", "OWN"})

_LINE = re.compile(r"\| ([A-Z]{2}-\d{2,3}) \| (\w+) \| ([^|]+) \| ([^|]+) \|(?: ([^|]+))? \|")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One behaviour. ``deviation`` is "" when it is held, else the reason why it is not."""

    id: str
    level: str
    source: str
    behaviour: str
    deviation: str
    chapter: str


def read(text: str) -> Mapping[str, Requirement]:
    """Return the requirements of a page by id, in order. Raises ValueError for a line that is none, or stands twice."""
    found: dict[str, Requirement] = {}
    chapter = ""
    for line in text.splitlines():
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| id |"):
            parts = _LINE.fullmatch(line)
            if parts is None or parts[1] in found or parts[2] not in LEVELS:
                raise ValueError(f"not a requirement, or twice: {line[:60]}")
            found[parts[1]] = Requirement(parts[1], parts[2], parts[3], parts[4], parts[5] or "", chapter)
    return found


def requirements() -> Mapping[str, Requirement]:
    """Return everything that the auth flow promises."""
    return read(PAGE.read_text(encoding="utf-8"))
