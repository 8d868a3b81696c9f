"""From storage to columns: the latest value before each step, or the window before each step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from servers.prometheus.emulator.promql.columns import MAX_VALUES, Column, Steps, Vector, bounded
from servers.prometheus.emulator.promql.errors import ExecutionError
from servers.prometheus.emulator.promql.labels import Labels
from servers.prometheus.emulator.promql.nodes import Selector
from servers.prometheus.emulator.promql.windows import Window, WindowFunction
from servers.prometheus.emulator.storage import Samples, Storage

LOOKBACK_MS = 300_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Reads selectors from a storage. ``left_open`` is the rule of 3.x: a window excludes its own start."""

    storage: Storage
    steps: Steps
    left_open: bool
    lookback_ms: int = LOOKBACK_MS

    def latest(self, node: Selector, *, times: bool = False) -> Vector:
        """Return the latest value (or its time in seconds) of each series at each step, at most the look-back old."""
        found = []
        for samples in self._load(node, self.lookback_ms):
            values: list[float | None] = []
            for step_ms in self.steps.times_ms:
                moment = step_ms - node.offset_ms
                last = bisect_right(samples.times_ms, moment) - 1
                if last < 0 or samples.times_ms[last] <= moment - self.lookback_ms or samples.values[last] is None:
                    values.append(None)
                else:
                    values.append(samples.times_ms[last] / 1_000 if times else samples.values[last])
            found.append(Column(samples.labels, values))
        return found

    def windows(self, node: Selector, function: WindowFunction) -> Vector:
        """Return ``function`` of each series' window at each step."""
        found = []
        for labels, windows in self._windows(node):
            values = [None if window is None else function(window) for window in windows]
            found.append(Column(labels, values))
        return found

    def raw(self, node: Selector) -> list[Samples]:
        """Return the samples in the window before the first step, as a range selector on its own answers."""
        found = []
        for labels, windows in self._windows(node):
            window = next(windows)
            if window is not None:
                found.append(Samples(labels, window.times_ms, window.values))
        return found

    def _windows(self, node: Selector) -> Iterator[tuple[Labels, Iterator[Window | None]]]:
        range_ms = node.range_ms or 0
        for samples in self._load(node, range_ms):
            kept = [(t, v) for t, v in zip(samples.times_ms, samples.values, strict=True) if v is not None]
            yield samples.labels, self._cut([t for t, _ in kept], [v for _, v in kept], range_ms, node.offset_ms)

    def _cut(self, times: list[int], values: list[float], range_ms: int, offset_ms: int) -> Iterator[Window | None]:
        first_of = bisect_right if self.left_open else bisect_left
        for step_ms in self.steps.times_ms:
            end_ms = step_ms - offset_ms
            start_ms = end_ms - range_ms
            low, high = first_of(times, start_ms), bisect_right(times, end_ms)
            yield Window(times[low:high], values[low:high], start_ms, end_ms) if low < high else None

    def _load(self, node: Selector, before_ms: int) -> list[Samples]:
        start_ms = self.steps.start_ms - node.offset_ms - before_ms
        found = self.storage.select(node.matchers, start_ms, self.steps.end_ms - node.offset_ms)
        bounded(len(found), self.steps)
        if sum(len(samples.times_ms) for samples in found) > MAX_VALUES:
            raise ExecutionError("query processing would load too many samples into memory in query execution")
        return found
