"""Targets as a storage: what Prometheus would hold had it scraped them on a regular grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from servers.prometheus.emulator.promql.labels import NAME, Labels, labels_of
from servers.prometheus.emulator.promql.matchers import Matcher, all_match
from servers.prometheus.emulator.source import Exemplar, Family, Target
from servers.prometheus.emulator.storage import Samples

Value = Callable[[float], float | None]


class Synthetic:
    """Samples of ``targets`` every ``interval_ms`` since ``first_ms``, within the retention, never later than now."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        interval_ms: int,
        first_ms: int,
        retention_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.interval_ms = interval_ms
        self._first_ms = first_ms
        self._retention_ms = retention_ms
        self._now_ms = now_ms
        self._by_name: dict[str, list[tuple[Labels, Value]]] = {}
        self._exemplars: list[tuple[Labels, Callable[[float], Exemplar], Target]] = []
        for target in targets:
            self._add(target)

    def _add(self, target: Target) -> None:
        own = {"job": target.job, "instance": target.instance, **target.labels}

        def while_up(at: Callable[[float], float]) -> Value:
            return lambda time_s: at(time_s) if target.is_up(time_s) else None

        count = sum(len(family.series) for family in target.families)
        self._put({NAME: "up", **own}, lambda time_s: float(target.is_up(time_s)))
        self._put({NAME: "scrape_samples_scraped", **own}, lambda time_s: float(count * target.is_up(time_s)))
        self._put({NAME: "scrape_duration_seconds", **own}, lambda time_s: 0.002 + (time_s % 97) / 50_000)
        for family in target.families:
            for series in family.series:
                labels = labels_of({NAME: series.name, **dict(series.labels), **own})
                self._by_name.setdefault(series.name, []).append((labels, while_up(series.at)))
                if series.exemplar_at is not None:
                    self._exemplars.append((labels, series.exemplar_at, target))

    def _put(self, labels: dict[str, str], value: Value) -> None:
        self._by_name.setdefault(labels[NAME], []).append((labels_of(labels), value))

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Samples]:
        """Return the matching series on the grid within [start_ms, end_ms]."""
        times = self._grid(start_ms, end_ms)
        if not times:
            return []
        return [
            Samples(labels, times, [value(ms / 1_000) for ms in times])
            for labels, value in self._candidates(matchers)
            if all_match(matchers, labels)
        ]

    def label_sets(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the labels of the same series."""
        times = self._grid(start_ms, end_ms)
        if not times:
            return []
        # A target goes down once and for good: whoever has a sample in the window has one at its start.
        first_s = times[0] / 1_000
        return [
            labels
            for labels, value in self._candidates(matchers)
            if all_match(matchers, labels) and value(first_s) is not None
        ]

    def exemplars(
        self, matchers: Sequence[Matcher], start_s: float, end_s: float
    ) -> Iterator[tuple[Labels, list[Exemplar]]]:
        """Yield the exemplars of the matching series within [start_s, end_s], oldest first."""
        times = self._grid(int(start_s * 1_000), int(end_s * 1_000))
        for labels, exemplar_at, target in self._exemplars:
            if not all_match(matchers, labels):
                continue
            up = [ms / 1_000 for ms in times if target.is_up(ms / 1_000)]
            found = {e.time_s: e for e in map(exemplar_at, up) if start_s <= e.time_s <= end_s}
            if found:
                yield labels, [found[time_s] for time_s in sorted(found)]

    def _grid(self, start_ms: int, end_ms: int) -> range:
        now_ms = self._now_ms()
        start_ms = max(start_ms, self._first_ms, now_ms - self._retention_ms)
        first = -(-start_ms // self.interval_ms) * self.interval_ms
        return range(first, min(end_ms, now_ms) + 1, self.interval_ms)

    def _candidates(self, matchers: Sequence[Matcher]) -> Iterator[tuple[Labels, Value]]:
        exact = next((m.value for m in matchers if m.name == NAME and m.operator == "="), None)
        names = self._by_name if exact is None else [exact]
        for name in names:
            yield from self._by_name.get(name, ())


def metadata(families: Sequence[Family]) -> dict[str, dict[str, str]]:
    """Return type, help and unit by family name."""
    return {f.name: {"type": f.kind, "help": f.help, "unit": f.unit} for f in families}
