"""The words of a search: BM25F over name, server, description and parameters, every impact computed beforehand.

Immutable. Making one only joins and sorts what the sections hold, outside the interpreter's lock; a query touches the
postings of its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from portal.catalogue.section import FIELDS, Section, key
from portal.catalogue.similar import slips
from portal.catalogue.synonyms import related
from portal.catalogue.words import pairs, terms

K1 = 1.2
B = 0.5
WEIGHTS = (3.0, 1.0, 1.0, 0.5, 0.3)  # in the order of FIELDS
PAIR_WEIGHT = 0.5
SYNONYM_WEIGHT = 0.2
CORRECTION_WEIGHT = 0.6
MAX_CORRECTIONS = 3
MAX_QUERY_TERMS = 40

Scores = NDArray[np.float32]
Visible = Callable[[int], bool]
Within = NDArray[np.bool_]


class Postings:
    """Scores documents by the words that they share with a query. A document is a row of the sections, one after the
    other.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self._size = sum(len(section.tools) for section in sections)
        keys, documents, impacts = _joined(sections)
        order = np.argsort(keys, kind="stable")  # stable: the documents of a term stay in order
        keys = keys[order]
        self._documents = documents[order]
        first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1)) if len(keys) else np.zeros(0, np.int64)
        self._keys = keys[first]
        self._ends = np.append(first[1:], len(keys))
        self._starts = first
        counts = self._ends - first
        rarity = np.log(1 + (self._size - counts + 0.5) / (counts + 0.5)).astype(np.float32)
        self._impacts = impacts[order] * np.repeat(rarity, counts)

    def scores(self, query: str, visible: Visible, within: Within) -> Scores:
        """Return the score of every document; 0 for one that shares no term with the query or is not of ``within``.

        A word that no visible document has is taken for a slip, as if the others were not there. (How rare a word is
        counts all documents: that can move a tool among its like, but no score is ever shown.)
        """
        found = np.zeros(self._size, np.float32)
        wanted = self._weighted(query, visible, within)
        for slot, weight in zip(self._slots(list(wanted)), wanted.values(), strict=True):
            if slot >= 0:
                some = slice(self._starts[slot], self._ends[slot])
                found[self._documents[some]] += np.float32(weight) * self._impacts[some]
        return found * within

    def _weighted(self, query: str, visible: Visible, within: Within) -> dict[str, float]:
        """Return the terms that a query stands for, each with its weight."""
        stems = terms(query)[:MAX_QUERY_TERMS]
        wanted: dict[str, float] = {}
        for term in dict.fromkeys(stems):
            if self._seen([term], 1, visible, within):
                _raise(wanted, [term], 1.0)
            else:
                _raise(wanted, self._seen(slips(term), MAX_CORRECTIONS, visible, within), CORRECTION_WEIGHT)
            _raise(wanted, related(term), SYNONYM_WEIGHT)
        for pair in pairs(stems):
            _raise(wanted, [pair], PAIR_WEIGHT)
            _raise(wanted, related(pair), SYNONYM_WEIGHT)
        return wanted

    def _seen(self, candidates: Sequence[str], count: int, visible: Visible, within: Within) -> list[str]:
        """Return up to ``count`` of the terms that stand in a document that may be seen."""
        found: list[str] = []
        for term, slot in zip(candidates, self._slots(candidates), strict=True):
            if slot >= 0 and self._any_visible(slot, visible, within):
                found.append(term)
                if len(found) == count:
                    break
        return found

    def _any_visible(self, slot: int, visible: Visible, within: Within) -> bool:
        documents = self._documents[self._starts[slot] : self._ends[slot]]
        return any(map(visible, documents[within[documents]].tolist()))

    def _slots(self, candidates: Sequence[str]) -> list[int]:
        """Return the place of each term among the keys, -1 for one that no document has."""
        if not len(self._keys) or not candidates:
            return [-1] * len(candidates)
        keys = np.fromiter(map(key, candidates), np.int64, len(candidates))
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        slots: list[int] = np.where(self._keys[places] == keys, places, -1).tolist()
        return slots


def _joined(sections: Sequence[Section]) -> tuple[NDArray[np.int64], NDArray[np.int32], Scores]:
    """Return (key, document, impact without rarity) of every posting."""
    offsets = np.cumsum([0, *(len(section.tools) for section in sections)], dtype=np.int32)
    keys = np.concatenate([np.zeros(0, np.int64), *(section.keys for section in sections)])
    documents = np.concatenate(
        [np.zeros(0, np.int32), *(section.rows + start for section, start in zip(sections, offsets, strict=False))]
    )
    lengths = np.concatenate([np.zeros((0, len(FIELDS)), np.int32), *(section.lengths for section in sections)])
    means = lengths.mean(axis=0) if len(lengths) else np.ones(len(FIELDS))
    means = np.where(means == 0, 1, means)
    scales = (np.array(WEIGHTS) / (1 - B + B * lengths / means)).astype(np.float32)
    counts = np.concatenate([np.zeros((0, len(FIELDS)), np.uint8), *(section.counts for section in sections)])
    strength = np.zeros(len(keys), np.float32)
    for field in range(len(FIELDS)):  # one field at a time: all at once takes five times the memory
        strength += counts[:, field] * scales[documents, field]
    return keys, documents, strength * np.float32(K1 + 1) / (np.float32(K1) + strength)


def _raise(wanted: dict[str, float], found: Iterable[str], weight: float) -> None:
    for term in found:
        wanted[term] = max(wanted.get(term, 0.0), weight)
