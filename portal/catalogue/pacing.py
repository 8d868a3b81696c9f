"""Long work in a thread that lets the event loop run beside it.

The interpreter runs one thread at a time and takes 5 ms to ask a busy one for its turn. A request takes several turns,
so that a build that never pauses makes each of them slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

TURN_S = 0.002
PAUSE_S = 0.000_05
"""Long enough for a waiting thread to wake up and take the interpreter."""


def unhurried(items: Iterable[T]) -> Iterator[T]:
    """Yield every item, giving other threads a turn whenever the work on them has taken ``TURN_S``."""
    since = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - since > TURN_S:
            time.sleep(PAUSE_S)
            since = time.perf_counter()
