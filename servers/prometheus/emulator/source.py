"""Metrics as functions of time: a source can say what any series was at any moment, so history exists at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from servers.prometheus.emulator.promql.labels import Labels

Kind = Literal["counter", "gauge", "histogram", "info"]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One request that stands for many."""

    labels: Labels
    value: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a target. ``name`` is the sample's name; ``at`` gives its value at a unix time in seconds."""

    name: str
    labels: Labels
    at: Callable[[float], float]
    exemplar_at: Callable[[float], Exemplar] | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The series of one metric, with what a scrape says of it. A counter's ``name`` has no ``_total``."""

    name: str
    kind: Kind
    help: str
    unit: str
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is scraped. ``labels`` stand on all its series beside ``job`` and ``instance``."""

    job: str
    instance: str
    labels: Mapping[str, str]
    families: Sequence[Family]
    down_since_s: float | None = None
    fault: str = field(default="", compare=False)

    def is_up(self, time_s: float) -> bool:
        """Say whether a scrape at this moment succeeds."""
        return self.down_since_s is None or time_s < self.down_since_s
