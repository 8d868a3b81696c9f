"""Several queries, one list: the queries take turns, each giving its best tool that is not there yet.

Measured against joined scores on the development set (bench/search.py): turns find as much or more, and a query with
weak words is never drowned by one with strong words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

FLOOR = 0.2
"""Below this share of its best score a query has nothing more to say: such tools share one common word with it."""
SORTED_AT_FIRST = 128

Scores = NDArray[np.float32]
Visible = Callable[[int], bool]


def turns(scores: Sequence[Scores], limit: int, visible: Visible) -> list[int]:
    """Return up to ``limit`` visible documents in turn order. Those that are not visible change nothing."""
    queues = [_down_to_floor(found, visible) for found in scores]
    chosen: dict[int, None] = {}
    while queues and len(chosen) < limit:
        queues = [queue for queue in queues if len(chosen) < limit and _take(queue, chosen)]
    return list(chosen)


def best_first(scores: Scores, visible: Visible) -> Iterator[int]:
    """Yield the visible documents with a score, by falling score; of equal ones the lower number first.

    Costs no more than the few that are taken, unless many of the best are hidden.
    """
    left = np.flatnonzero(scores > 0)
    values = scores[left]
    edge = np.partition(values, -SORTED_AT_FIRST)[-SORTED_AT_FIRST] if len(left) > SORTED_AT_FIRST else 0
    for part in (left[values >= edge], left[values < edge]):
        for document in part[np.argsort(-scores[part], kind="stable")].tolist():
            if visible(document):
                yield document


def _down_to_floor(scores: Scores, visible: Visible) -> Iterator[int]:
    floor = 0.0
    for document in best_first(scores, visible):
        score = float(scores[document])
        if score < floor:
            return
        floor = floor or FLOOR * score
        yield document


def _take(queue: Iterator[int], chosen: dict[int, None]) -> bool:
    """Add the queue's next document. False when the queue is at its end."""
    for document in queue:
        if document not in chosen:
            chosen[document] = None
            return True
    return False
