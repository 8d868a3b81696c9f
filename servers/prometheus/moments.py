"""Times and durations as people write them for Prometheus, in seconds. Knows no clock: ``now_s`` is passed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from servers._kit import InvalidInput
from servers._kit.failures import quote

MAX_TIME_S = 253_402_300_799.0  # the end of the year 9999, the last that a datetime holds
MAX_DURATION_S = 10 * 365 * 86_400.0

_UNITS_S = {"y": 365 * 86_400.0, "w": 7 * 86_400.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS_S))
_RELATIVE = re.compile(r"(?:now\s*)?([+-])\s*(\w{1,32})")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


def duration_s(text: str, *, name: str = "duration") -> float:
    """Return the seconds of ``5m``, ``1h30m``, ``250ms`` or a plain number of seconds; more than 0, at most ten years.

    Raises InvalidInput that names the argument.
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        found = float(stripped)
    else:
        match = _DURATION.fullmatch(stripped)
        if not stripped or match is None:
            raise InvalidInput(f"{name}: {quote(text)} is not a duration; write 30s, 5m, 1h30m, 7d")
        parts = zip(match.groups(), _UNITS_S.values(), strict=True)
        found = sum(int(count) * unit_s for count, unit_s in parts if count)
    if not 0 < found <= MAX_DURATION_S:
        raise InvalidInput(f"{name}: {quote(text)} must be more than 0 and at most ten years")
    return found


def duration_text(seconds: float) -> str:
    """Return a duration as PromQL writes it, to the millisecond: 5400 becomes ``1h30m``."""
    left = max(1, round(seconds * 1000))
    found = ""
    # Weeks and years are left out: a day is the largest unit that means the same to every reader.
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_UNITS_S[unit] * 1000))
        if count:
            found += f"{count}{unit}"
    return found


def moment_s(value: str | float, now_s: float, *, name: str = "time") -> float:
    """Return the Unix seconds of ``now``, ``-1h``, ``now-1h``, RFC 3339 or Unix seconds. A time without zone is UTC.

    Raises InvalidInput that names the argument.
    """
    found = value if isinstance(value, (int, float)) else _parsed(value.strip(), now_s, name)
    if not 0 <= found <= MAX_TIME_S:
        raise InvalidInput(f"{name}: {quote(value)} lies outside the years 1970 to 9999")
    return float(found)


def at(seconds: float) -> datetime:
    """Return Unix seconds as a UTC time. Raises ValueError or OverflowError outside the years that exist."""
    return datetime.fromtimestamp(seconds, UTC)


def _parsed(text: str, now_s: float, name: str) -> float:
    if text == "now":
        return now_s
    if _NUMBER.fullmatch(text):
        return float(text)
    relative = _RELATIVE.fullmatch(text)
    if relative is not None:
        distance_s = duration_s(relative[2], name=name)
        return now_s - distance_s if relative[1] == "-" else now_s + distance_s
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}: {quote(text)} is not a time; write now, -1h, 2026-01-31T12:00:00Z or Unix seconds"
        ) from None
