"""What holds samples: the query engine asks for label sets and time windows, and knows nothing else of a source."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from servers.prometheus.emulator.promql.labels import Labels
from servers.prometheus.emulator.promql.matchers import Matcher, all_match


@dataclass(frozen=True, slots=True)
class Samples:
    """One series: times ascending, milliseconds since 1970. A value of None ends the series until the next value."""

    labels: Labels
    times_ms: Sequence[int]
    values: Sequence[float | None]


class Storage(Protocol):
    """A source of samples."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Samples]:
        """Return the matching series with at least one sample in [start_ms, end_ms]."""
        ...

    def label_sets(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the labels of the same series, without computing a value."""
        ...


class Recorded:
    """Samples that were appended: what recording rules and alerts left behind."""

    def __init__(self, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._series: dict[Labels, tuple[list[int], list[float | None]]] = {}

    def append(self, labels: Labels, time_ms: int, value: float | None) -> None:
        """Add one sample. A sample that is not newer than the last of its series is dropped."""
        times, values = self._series.setdefault(labels, ([], []))
        if times and time_ms <= times[-1]:
            return
        # Queries read from other threads meanwhile: a time must never be there before its value, and what is cut off
        # is replaced as a whole.
        values.append(value)
        times.append(time_ms)
        if len(times) % 256 == 0:
            old = bisect_left(times, time_ms - self._retention_ms)
            self._series[labels] = (times[old:], values[old:])

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Samples]:
        """Return the matching series with at least one sample in [start_ms, end_ms]."""
        found = []
        for labels, (times, values) in list(self._series.items()):
            low, high = bisect_left(times, start_ms), bisect_right(times, end_ms)
            if low < high and all_match(matchers, labels):
                found.append(Samples(labels, times[low:high], values[low:high]))
        return found

    def label_sets(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the labels of the same series."""
        return [samples.labels for samples in self.select(matchers, start_ms, end_ms)]


@dataclass(frozen=True, slots=True)
class Union:
    """Several sources as one. Their label sets must not overlap."""

    parts: tuple[Storage, ...] = field(default=())

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Samples]:
        """Return the matching series of every part."""
        return [samples for part in self.parts for samples in part.select(matchers, start_ms, end_ms)]

    def label_sets(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the labels of the matching series of every part."""
        return [labels for part in self.parts for labels in part.label_sets(matchers, start_ms, end_ms)]
