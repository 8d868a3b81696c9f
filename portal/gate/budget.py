"""How many calls one person may make in a minute: a token bucket for each, in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

SWEEP_AT = 10_000
MINUTE_S = 60.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_s: float


class CallsPerMinute:
    """Allows ``calls`` at once, and as many again in each minute, spread evenly."""

    def __init__(self, calls: int, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._clock = clock
        self._buckets: dict[Hashable, _Bucket] = {}

    def take(self, who: Hashable) -> float:
        """Take one call from ``who``. Return 0, or the seconds until there is one again when there is none."""
        now_s = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            self._sweep(now_s)
            bucket = self._buckets[who] = _Bucket(self._calls, now_s)
        per_s = self._calls / MINUTE_S
        bucket.tokens = min(self._calls, bucket.tokens + (now_s - bucket.filled_s) * per_s)
        bucket.filled_s = now_s
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / per_s
        bucket.tokens -= 1
        return 0.0

    def _sweep(self, now_s: float) -> None:
        """Forget the buckets that are full again: a new one is no different."""
        if len(self._buckets) >= SWEEP_AT:
            self._buckets = {who: b for who, b in self._buckets.items() if now_s - b.filled_s < MINUTE_S}
