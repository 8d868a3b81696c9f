"""What a misspelt word or name may have meant."""

from __future__ import annotations

import string
from collections.abc import Iterable
from itertools import islice

MIN_CHARS = 4
MAX_CHARS = 30
MAX_NAMES = 5_000
_LETTERS = string.ascii_lowercase + string.digits


def slips(word: str) -> list[str]:
    """Return every word one slip away: two letters exchanged, one too many, one missing or wrong, in this order.

    Empty for a word so short that too many others are near, and for one that is longer than words are.
    """
    if not MIN_CHARS <= len(word) <= MAX_CHARS or not word.isascii():
        return []
    return list(dict.fromkeys(_slips(word)))


def closest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return the names that share most letter triples with ``name``, best first; none that share few."""
    wanted = _triples(name)
    scored = []
    for candidate in islice(names, MAX_NAMES):
        found = _triples(candidate)
        share = len(wanted & found) / len(wanted | found)
        if share >= 0.3:
            scored.append((-share, candidate))
    return [candidate for _, candidate in sorted(scored)[:count]]


def _slips(word: str) -> Iterable[str]:
    for i in range(len(word) - 1):
        yield word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    for i in range(len(word)):
        yield word[:i] + word[i + 1 :]
    for i in range(len(word) + 1):
        for letter in _LETTERS:
            yield word[:i] + letter + word[i:]
            if i < len(word):
                yield word[:i] + letter + word[i + 1 :]


def _triples(name: str) -> set[str]:
    padded = f" {name.lower()} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}
