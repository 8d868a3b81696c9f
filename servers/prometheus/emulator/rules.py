"""Rules at work: recorded series and alerts as they would be had the rules been evaluated all along.

There is no background task. Whoever asks first lets the rules catch up to now; every step in between is computed, so
that answers depend on the clock alone and never on when somebody asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from servers.prometheus.emulator.engine import Engine
from servers.prometheus.emulator.promql.columns import Column, Steps, Vector
from servers.prometheus.emulator.promql.errors import QueryError
from servers.prometheus.emulator.promql.labels import NAME, Labels, labels_of, without_name
from servers.prometheus.emulator.rulefile import AlertingRule, RecordingRule, Rule, RuleGroup
from servers.prometheus.emulator.storage import Recorded
from servers.prometheus.emulator.templates import expand

MAX_STEPS = 240

State = Literal["inactive", "pending", "firing"]


@dataclass(slots=True)
class ActiveAlert:
    """An alert from the first step its condition held until the first step it did not."""

    labels: Labels
    annotations: dict[str, str]
    active_ms: int
    state: State
    value: float
    fired_ms: int | None = None


@dataclass(slots=True)
class RuleState:
    """What the last evaluation of a rule left."""

    rule: Rule
    evaluated_ms: int = 0
    error: str = ""
    present: set[Labels] = field(default_factory=set)
    alerts: dict[Labels, ActiveAlert] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Return the worst state of the rule's alerts."""
        states = {alert.state for alert in self.alerts.values()}
        if "firing" in states:
            return "firing"
        return "pending" if "pending" in states else "inactive"


@dataclass(slots=True)
class GroupState:
    """A group, and how far it has been evaluated."""

    group: RuleGroup
    evaluated_ms: int
    rules: list[RuleState]


class Rules:
    """All groups; ``history_ms`` of the past is computed at the first evaluation."""

    def __init__(
        self, groups: Sequence[RuleGroup], engine: Engine, recorded: Recorded, *, now_ms: int, history_ms: int
    ) -> None:
        self._engine = engine
        self._recorded = recorded
        self._lock = threading.Lock()
        self.groups = [GroupState(g, now_ms - history_ms, [RuleState(rule) for rule in g.rules]) for g in groups]

    def catch_up(self, now_ms: int) -> None:
        """Evaluate every step until now. Blocks; safe from any thread."""
        with self._lock:
            for state in self.groups:
                self._catch_up(state, now_ms)

    def alerts(self) -> Iterator[tuple[GroupState, RuleState, ActiveAlert]]:
        """Yield every pending or firing alert."""
        for group in self.groups:
            for rule in group.rules:
                for alert in list(rule.alerts.values()):  # another thread may be catching up
                    yield group, rule, alert

    def _catch_up(self, state: GroupState, now_ms: int) -> None:
        interval_ms = state.group.interval_ms
        missed = (now_ms - state.evaluated_ms) // interval_ms
        if missed <= 0:
            return
        # After a long silence the steps are wider, so that one question never costs more than MAX_STEPS.
        step_ms = interval_ms * -(-missed // MAX_STEPS)
        count = (now_ms - state.evaluated_ms) // step_ms
        steps = Steps(state.evaluated_ms + step_ms, step_ms, count)
        for rule in state.rules:
            self._evaluate(rule, steps)
        state.evaluated_ms = steps.end_ms

    def _evaluate(self, state: RuleState, steps: Steps) -> None:
        state.evaluated_ms = steps.end_ms
        try:
            columns = self._engine.over(state.rule.node, steps)
        except QueryError as error:
            state.error = str(error)
            return
        state.error = ""
        if isinstance(state.rule, RecordingRule):
            self._record(state, state.rule, columns, steps)
        else:
            self._alert(state, state.rule, columns, steps)

    def _record(self, state: RuleState, rule: RecordingRule, columns: Vector, steps: Steps) -> None:
        named = {labels_of({**dict(column.labels), **dict(rule.labels), NAME: rule.name}): column for column in columns}
        for labels in state.present - named.keys():
            self._recorded.append(labels, steps.start_ms, None)
        state.present = set()
        for labels, column in named.items():
            for time_ms, value in zip(steps.times_ms, column.values, strict=True):
                self._recorded.append(labels, time_ms, value)
            if column.values[-1] is not None:
                state.present.add(labels)

    def _alert(self, state: RuleState, rule: AlertingRule, columns: Vector, steps: Steps) -> None:
        by_labels = {without_name(column.labels): column for column in columns}
        for labels in state.alerts.keys() - by_labels.keys():
            self._series(state.alerts.pop(labels), steps.start_ms, ended=True)
        for labels, column in by_labels.items():
            self._follow(state, rule, labels, column, steps)

    def _follow(self, state: RuleState, rule: AlertingRule, key: Labels, column: Column, steps: Steps) -> None:
        for time_ms, value in zip(steps.times_ms, column.values, strict=True):
            alert = state.alerts.get(key)
            if value is None:
                if alert is not None:
                    self._series(state.alerts.pop(key), time_ms, ended=True)
                continue
            if alert is None:
                alert = ActiveAlert(_labels(rule, key, value), {}, time_ms, "pending", value)
                state.alerts[key] = alert
            alert.value = value
            alert.annotations = {k: expand(text, dict(key), value) for k, text in rule.annotations.items()}
            if alert.state == "pending" and time_ms - alert.active_ms >= rule.for_ms:
                self._series(alert, time_ms, ended=True)
                alert.state, alert.fired_ms = "firing", time_ms
            self._series(alert, time_ms, ended=False)

    def _series(self, alert: ActiveAlert, time_ms: int, *, ended: bool) -> None:
        """Record the ALERTS series of an alert in its present state."""
        labels = labels_of({**dict(alert.labels), NAME: "ALERTS", "alertstate": alert.state})
        self._recorded.append(labels, time_ms, None if ended else 1.0)


def _labels(rule: AlertingRule, series: Labels, value: float) -> Labels:
    own = {name: expand(text, dict(series), value) for name, text in rule.labels}
    return labels_of({**dict(series), **own, "alertname": rule.name})
