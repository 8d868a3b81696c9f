"""Several queries, one list: the queries take turns, each giving its best tool that is not there yet.

Measured against joined scores on the development set (bench/search.py): turns find as much or more, and a query with
weak words is never drowned by one with strong words.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence

FLOOR = 0.2
"""Below this share of its best score a query has nothing more to say: such tools share one common word with it."""

Visible = Callable[[int], bool]


def turns(scores: Sequence[Mapping[int, float]], limit: int, visible: Visible) -> list[int]:
    """Return up to ``limit`` visible documents in turn order. Those that are not visible change nothing."""
    queues = [_best_first(found, visible) for found in scores]
    chosen: dict[int, None] = {}
    while queues and len(chosen) < limit:
        queues = [queue for queue in queues if len(chosen) < limit and _take(queue, chosen)]
    return list(chosen)


def _take(queue: Iterator[int], chosen: dict[int, None]) -> bool:
    """Add the queue's next document. False when the queue is at its end."""
    for document in queue:
        if document not in chosen:
            chosen[document] = None
            return True
    return False


def _best_first(scores: Mapping[int, float], visible: Visible) -> Iterator[int]:
    """Yield visible documents by falling score down to the floor; of equal ones the lower number first."""
    heap = [(-score, document) for document, score in scores.items()]
    heapq.heapify(heap)
    floor = 0.0
    while heap:
        score, document = heapq.heappop(heap)
        if -score < floor:
            return
        if visible(document):
            floor = floor or FLOOR * -score
            yield document
