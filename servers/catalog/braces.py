"""Braces in targets: ``{a,b}``, ``{1..3}`` and ``{a..c}`` become several texts, a bounded number of them."""

from __future__ import annotations

import re

MAX_TEXTS = 200

# The innermost braces first: what is between them has no braces of its own.
_GROUP = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?[0-9]{1,6}|[A-Za-z])\.\.(-?[0-9]{1,6}|[A-Za-z])(?:\.\.(-?[0-9]{1,6}))?")


class TooMany(ValueError):
    """The braces stand for more texts than any target should; the message says so."""


def expanded(text: str) -> list[str]:
    """Return the texts that one with braces stands for, in order; braces that offer no choice are plain signs.

    Raises TooMany.
    """
    done, waiting = list[str](), [text]
    while waiting:
        if len(done) + len(waiting) > MAX_TEXTS:
            raise TooMany(f"braces stand for more than {MAX_TEXTS} targets")
        first = waiting.pop(0)
        group = next((found for found in _GROUP.finditer(first) if _choices(found[1])), None)
        if group is None:
            done.append(first)
        else:
            waiting[:0] = [f"{first[: group.start()]}{one}{first[group.end() :]}" for one in _choices(group[1])]
    return list(dict.fromkeys(done))


def _choices(inside: str) -> list[str]:
    found = _RANGE.fullmatch(inside)
    if found is not None and found[1].isalpha() == found[2].isalpha():
        return _steps(found[1], found[2], abs(int(found[3] or 1)) or 1)
    return inside.split(",") if "," in inside else []


def _steps(first: str, last: str, step: int) -> list[str]:
    """Return the letters or numbers of a range; a leading zero asks for equal width."""
    letters = first.isalpha()
    start, end = (ord(first), ord(last)) if letters else (int(first), int(last))
    if abs(end - start) // step >= MAX_TEXTS:
        raise TooMany(f"braces stand for more than {MAX_TEXTS} targets")
    steps = range(start, end + 1, step) if end >= start else range(start, end - 1, -step)
    if letters:
        return [chr(number) for number in steps]
    padded = any(one.lstrip("-").startswith("0") and len(one.lstrip("-")) > 1 for one in (first, last))
    return [f"{number:0{max(len(first), len(last))}d}" if padded else str(number) for number in steps]
