"""Rules over time: an alert's life from pending to resolved, and that answers depend on the clock alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from servers.prometheus.emulator.monitor import Monitor
from servers.prometheus.emulator.promql.errors import ParseError
from servers.prometheus.emulator.promql.parser import parse
from servers.prometheus.emulator.release import Release
from servers.prometheus.emulator.rulefile import RuleFileError, parse_rule_file
from servers.prometheus.emulator.source import Family, Series, Target

START_S = 1_800_000_000.0
RULES = """
groups:
  - name: queues
    interval: 15s
    rules:
      - record: queue:depth:double
        expr: depth * 2
      - alert: Deep
        expr: queue:depth:double > 20
        for: 30s
        labels: {severity: page, team: "{{ $labels.job }}"}
        annotations: {summary: "{{ $value }} wait"}
"""


@dataclass(slots=True)
class Clock:
    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@dataclass(slots=True)
class Scene:
    """A queue whose depth is 20 between ``high`` seconds after the start, otherwise 1."""

    high: tuple[float, float]
    clock: Clock = field(default_factory=Clock)

    def monitor(self, rules: str = RULES) -> Monitor:
        low_s, high_s = (START_S + s for s in self.high)
        depth = Series("depth", (), lambda t: 20.0 if low_s <= t < high_s else 1.0)
        target = Target("q", "q:1", {}, [Family("depth", "gauge", "", "", [depth])])
        groups = parse_rule_file(rules, file="rules.yaml")
        return Monitor.of([target], groups, release=Release("3.5.0"), clock=self.clock, history_s=60)


def alerts(monitor: Monitor) -> list[tuple[str, str, float, float]]:
    monitor.catch_up()
    return [
        (dict(a.labels)["alertname"], a.state, a.active_ms / 1_000 - START_S, a.value)
        for *_, a in monitor.rules.alerts()
    ]


def value(monitor: Monitor, query: str) -> list[tuple[dict[str, str], float | None]]:
    monitor.catch_up()
    columns: Sequence[Any] = monitor.engine.instant(parse(query), monitor.now_ms)  # type: ignore[assignment]
    return [(dict(c.labels), c.values[0]) for c in columns]


def test_an_alert_waits_fires_and_is_resolved() -> None:
    scene = Scene(high=(10, 100))
    monitor = scene.monitor()
    seen = []
    for after_s in (0, 15, 30, 45, 90, 105, 120):
        scene.clock.now_s = START_S + after_s
        seen.append([state for _, state, _, _ in alerts(monitor)])
    assert seen == [[], ["pending"], ["pending"], ["firing"], ["firing"], [], []]


def test_an_alert_that_began_before_anyone_asked_has_its_true_beginning() -> None:
    scene = Scene(high=(-31, 1_000))
    monitor = scene.monitor()
    scene.clock.now_s = START_S + 600
    assert alerts(monitor) == [("Deep", "firing", -30, 40.0)]


def test_asking_often_or_once_gives_the_same_history() -> None:
    histories = []
    for asked_at in (range(301), [300]):
        scene = Scene(high=(40, 120))
        monitor = scene.monitor()
        for after_s in asked_at:
            scene.clock.now_s = START_S + after_s
            monitor.catch_up()
        histories.append(value(monitor, 'sum_over_time({__name__=~"ALERTS|queue:depth:double"}[6m])'))
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3


def test_a_firing_alert_is_a_series_with_its_labels_until_it_ends() -> None:
    scene = Scene(high=(-60, 100))
    monitor = scene.monitor()
    scene.clock.now_s = START_S + 60
    labels = {"alertname": "Deep", "severity": "page", "team": "q", "job": "q", "instance": "q:1"}
    assert value(monitor, "ALERTS") == [({"__name__": "ALERTS", "alertstate": "firing", **labels}, 1.0)]
    scene.clock.now_s = START_S + 120
    assert value(monitor, "ALERTS") == []


def test_after_a_long_silence_one_question_costs_a_bounded_number_of_steps() -> None:
    scene = Scene(high=(0, 10**9))
    monitor = scene.monitor()
    scene.clock.now_s = START_S + 86_400
    assert [state for _, state, _, _ in alerts(monitor)] == ["firing"]
    samples = monitor.recorded.select(parse("queue:depth:double").matchers, 0, 2**60)  # type: ignore[union-attr]
    assert sum(len(s.times_ms) for s in samples) <= 240


def test_a_rule_that_cannot_be_computed_says_so_and_stops_no_other() -> None:
    rules = RULES.replace("depth * 2", "depth * on () {__name__=~'depth|up'}")
    monitor = Scene(high=(0, 1)).monitor(rules)
    monitor.catch_up()
    [group] = monitor.rules.groups
    assert "many-to-many" in group.rules[0].error
    assert group.rules[1].error == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "list of groups"),
        ("[]", "list of groups"),
        ("groups: [{name: g, interval: soon}]", "group g: interval: not a duration"),
        ("groups: [{name: g, rules: [{expr: up}]}]", "group g: a rule needs"),
        ("groups: [{name: g, rules: [{alert: A}]}]", "group g: a rule needs"),
        ("groups: [{name: g, rules: [{alert: A, expr: 'up[5m]'}]}]", "rule A: `expr` must be an instant vector"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, for: x}]}]", "rule A: for: not a duration"),
    ],
)
def test_a_rule_file_that_cannot_be_used_names_the_rule(text: str, message: str) -> None:
    with pytest.raises(RuleFileError, match=message):
        parse_rule_file(text, file="rules.yaml")


def test_a_rule_whose_query_does_not_parse_is_refused() -> None:
    with pytest.raises(ParseError, match="1:4: parse error"):
        parse_rule_file("groups: [{name: g, rules: [{record: r, expr: 'up('}]}]", file="rules.yaml")
