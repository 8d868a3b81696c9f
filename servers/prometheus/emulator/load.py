"""How busy a service is: a smooth daily curve whose integral is known, so that a counter has a value at any moment."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

_DAY_S = 86_400
_TURN = 2 * math.pi


def share(*words: str) -> float:
    """Return a number in [0, 1) that is always the same for the same words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def between(low: float, high: float, *words: str) -> float:
    """Return a number in [low, high) that is always the same for the same words."""
    return low + (high - low) * share(*words)


@dataclass(frozen=True)  # without slots, which would leave no room for what is cached
class Load:
    """Events per second as a function of time: a mean, a daily wave that peaks at ``peak_s``, and a short ripple."""

    mean_per_s: float
    daily: float
    peak_s: float
    ripple: float
    ripple_s: float
    since_s: float

    def rate(self, time_s: float) -> float:
        """Return events per second at a moment; always positive, for ``daily + ripple < 1``."""
        wave = self.daily * math.cos(_TURN * (time_s - self.peak_s) / _DAY_S)
        return self.mean_per_s * (1 + wave + self.ripple * math.sin(_TURN * time_s / self.ripple_s))

    def total(self, time_s: float) -> float:
        """Return all events since ``since_s``."""
        return self._integral(time_s) - self._at_start

    @cached_property
    def _at_start(self) -> float:
        return self._integral(self.since_s)

    def _integral(self, time_s: float) -> float:
        wave = self.daily * _DAY_S / _TURN * math.sin(_TURN * (time_s - self.peak_s) / _DAY_S)
        short = -self.ripple * self.ripple_s / _TURN * math.cos(_TURN * time_s / self.ripple_s)
        return self.mean_per_s * (time_s + wave + short)


@dataclass(frozen=True)
class Part:
    """A share of a load that changes once, at ``onset_s``: the failed requests, or those below some latency."""

    load: Load
    before: float
    after: float
    onset_s: float

    def total(self, time_s: float) -> float:
        """Return the events of this part since the load began. Never falls."""
        total = self.load.total(time_s)
        if time_s <= self.onset_s:
            return total * self.before
        return self._at_onset * self.before + (total - self._at_onset) * self.after

    @cached_property
    def _at_onset(self) -> float:
        return self.load.total(self.onset_s)

    def count(self, time_s: float) -> float:
        """Return the same as whole events."""
        return float(math.floor(self.total(time_s)))
