"""One Prometheus as the emulator keeps it: targets, what the rules made of them, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from servers.prometheus.emulator.engine import Engine
from servers.prometheus.emulator.release import Release
from servers.prometheus.emulator.rulefile import RuleGroup
from servers.prometheus.emulator.rules import Rules
from servers.prometheus.emulator.source import Target
from servers.prometheus.emulator.storage import Recorded, Union
from servers.prometheus.emulator.synthetic import Synthetic

Clock = Callable[[], float]
"""Returns unix time in seconds."""

RETENTION_MS = 7_200_000


@dataclass(frozen=True, slots=True)
class Monitor:
    """Everything the HTTP API answers from. ``Monitor.of`` builds one."""

    targets: tuple[Target, ...]
    metrics: Synthetic
    recorded: Recorded
    engine: Engine
    rules: Rules
    release: Release
    clock: Clock
    started_s: float

    @classmethod
    def of(
        cls,
        targets: Sequence[Target],
        groups: Sequence[RuleGroup],
        *,
        release: Release,
        clock: Clock = time.time,
        interval_s: int = 15,
        history_s: int = 3_600,
    ) -> Monitor:
        """Return a Prometheus that has scraped ``targets`` every ``interval_s`` for the last ``history_s``."""
        started_s = clock()
        now_ms = int(started_s * 1_000)
        metrics = Synthetic(
            targets,
            interval_ms=interval_s * 1_000,
            first_ms=now_ms - history_s * 1_000,
            retention_ms=RETENTION_MS,
            now_ms=lambda: int(clock() * 1_000),
        )
        recorded = Recorded(RETENTION_MS)
        engine = Engine(Union((metrics, recorded)), release)
        rules = Rules(groups, engine, recorded, now_ms=now_ms, history_ms=history_s * 1_000)
        return cls(tuple(targets), metrics, recorded, engine, rules, release, clock, started_s)

    @property
    def now_ms(self) -> int:
        """The present."""
        return int(self.clock() * 1_000)

    def catch_up(self) -> None:
        """Bring the rules up to the present. Blocks."""
        self.rules.catch_up(self.now_ms)
