"""A small ranked full-text index over entities: BM25 over weighted fields, English stems, prefixes of the last word."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

WEIGHTS: Mapping[str, float] = {
    "name": 5.0,
    "title": 4.0,
    "tags": 2.5,
    "type": 2.0,
    "owner": 1.5,
    "system": 1.5,
    "description": 1.0,
}
K1 = 1.2
EXACT_NAME_BONUS = 12.0
PREFIX_SHARE = 0.6
MAX_PREFIX_WORDS = 50
MAX_QUERY_WORDS = 20

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_]+")
# A stemmer keeps the word it works on in itself, and threads build and search at the same time.
_OWN = threading.local()


@dataclass(frozen=True, slots=True)
class Scored:
    """One document that a query found: its position in the list that was indexed, and the fields it was found in."""

    position: int
    score: float
    fields: tuple[str, ...]


class Index:
    """An immutable index; building it is the only slow part."""

    def __init__(self, texts: Sequence[Mapping[str, str]]) -> None:
        """``texts`` has, for each document, its text by field of WEIGHTS."""
        self._names = [text.get("name", "").lower() for text in texts]
        self._postings: dict[str, dict[int, dict[str, int]]] = {}
        for position, text in enumerate(texts):
            for name in WEIGHTS:
                for word, count in Counter(words(text.get(name, ""))).items():
                    self._postings.setdefault(word, {}).setdefault(position, {})[name] = count
        self._words = sorted(self._postings)

    def search(self, query: str) -> list[Scored]:
        """Return the documents that have at least one word of ``query``, best first."""
        asked = list(dict.fromkeys(words(query)))[:MAX_QUERY_WORDS]
        scores: dict[int, float] = {}
        fields: dict[int, set[str]] = {}
        for word in asked:
            for stored, share in self._spellings(word):
                for position, counts in self._postings[stored].items():
                    weight = sum(WEIGHTS[name] * count for name, count in counts.items())
                    gain = share * self._rarity(stored) * weight * (K1 + 1) / (weight + K1)
                    scores[position] = scores.get(position, 0.0) + gain
                    fields.setdefault(position, set()).update(counts)
        wanted = query.strip().lower()
        for position in scores:
            if self._names[position] == wanted:
                scores[position] += EXACT_NAME_BONUS
        ranked = sorted(scores, key=lambda at: (-scores[at], self._names[at], at))
        return [Scored(at, round(scores[at], 4), tuple(n for n in WEIGHTS if n in fields[at])) for at in ranked]

    def _spellings(self, word: str) -> list[tuple[str, float]]:
        """Return the stored words that an asked word stands for: itself, else the words that it begins."""
        if word in self._postings:
            return [(word, 1.0)]
        if len(word) < 3:
            return []
        return [(stored, PREFIX_SHARE) for stored in self._words if stored.startswith(word)][:MAX_PREFIX_WORDS]

    def _rarity(self, word: str) -> float:
        having = len(self._postings[word])
        return math.log(1 + (len(self._names) - having + 0.5) / (having + 0.5))


def words(text: str) -> list[str]:
    """Return the stems of a text's words; ``checkoutApi``, ``checkout-api`` and ``checkout_api`` are alike."""
    return [_stem(word.lower()) for word in _WORD.findall(text)]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    if not hasattr(_OWN, "stemmer"):
        _OWN.stemmer = snowballstemmer.stemmer("english")
    found: str = _OWN.stemmer.stemWord(word)
    return found
