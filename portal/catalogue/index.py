"""The search index: what a tool's words say (``postings``) and what it is about (``meaning``), in one score.

Immutable once built. A query costs a millisecond or less on the event loop; building belongs in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portal.catalogue.meaning import TextVectors, Vectors
from portal.catalogue.postings import Postings, Scores, Visible, Within
from portal.catalogue.ranking import best_first
from portal.catalogue.section import Section
from portal.catalogue.words import spaced

MEANING_SHARE = 0.4
NOISE = 0.1
"""The cosine of two texts that have nothing to do with each other."""
MEANING_ALONE = 0.35
"""The cosine from which on a tool answers a query of which no tool has any word. The nearest of five hundred tools to a
word that does not exist is at 0.25.
"""


class Index:
    """Answers which tools fit a query. A document is the number of a tool, section after section."""

    def __init__(self, sections: Sequence[Section], vectors: TextVectors | None) -> None:
        self._words = Postings(sections)
        self._vectors = vectors
        self._meanings = _joined(sections)

    def understand(self, query: str) -> None:
        """Read a query beforehand where that takes long. May run in a thread."""
        if self._vectors is not None:
            self._vectors.of(spaced(query))

    def scores(self, query: str, visible: Visible, within: Within) -> Scores:
        """Return the score of every document of ``within``, visible or not; 0 for one that has nothing to do with it.

        Both halves are measured by the best visible document, so that those not visible change no order.
        """
        words = self._words.scores(query, visible, within)
        near = self._nearness(query, within)
        if near is None:
            return words
        best = _highest(words, visible)
        if not best:
            near[near < MEANING_ALONE - NOISE] = 0
        nearest = _highest(near, visible)
        return words * _share(1 - MEANING_SHARE, best) + near * _share(MEANING_SHARE, nearest)

    def _nearness(self, query: str, within: Within) -> Scores | None:
        """Return by how much the cosine of every document and the query exceeds noise."""
        if self._vectors is None or self._meanings is None:
            return None
        asked = self._vectors.of(spaced(query))
        # Not the matrix product: BLAS would wake a thread for every core and wait for the slowest.
        cosines = np.einsum("ij,j->i", self._meanings, asked)
        above: Scores = np.maximum(cosines - np.float32(NOISE), 0) * within
        return above


def _highest(scores: Scores, visible: Visible) -> float:
    """Return the score of the best visible document; 0 when none has one."""
    return next((float(scores[document]) for document in best_first(scores, visible)), 0.0)


def _share(share: float, highest: float) -> np.float32:
    return np.float32(share / highest if highest else 0)


def _joined(sections: Sequence[Section]) -> Vectors | None:
    found = [section.vectors for section in sections if section.vectors is not None]
    return np.concatenate(found) if found and len(found) == len(sections) else None
