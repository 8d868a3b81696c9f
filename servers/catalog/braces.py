"""Braces in targets: ``{a,b}`` and ``{1..3}`` become several texts, a bounded number of them."""

from __future__ import annotations

import re

MAX_TEXTS = 200

# The innermost braces first: what is between them has no braces of its own.
_GROUP = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?[0-9]{1,6})\.\.(-?[0-9]{1,6})")


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
    if found is None:
        return inside.split(",") if "," in inside else []
    first, last = int(found[1]), int(found[2])
    if abs(last - first) >= MAX_TEXTS:
        raise TooMany(f"braces stand for more than {MAX_TEXTS} targets")
    return [str(number) for number in range(first, last + (1 if last >= first else -1), 1 if last >= first else -1)]
