"""Prometheus rule files: the same YAML that the real one reads, checked as far as the emulator uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from servers.prometheus.emulator.promql.checks import type_of
from servers.prometheus.emulator.promql.durations import parse_ms
from servers.prometheus.emulator.promql.labels import Labels, labels_of
from servers.prometheus.emulator.promql.nodes import Node
from servers.prometheus.emulator.promql.parser import parse

DEFAULT_INTERVAL_MS = 60_000


class RuleFileError(ValueError):
    """A rule file cannot be used. The text names the group and the rule."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Stores the value of an expression under a new name."""

    name: str
    node: Node = field(repr=False)
    labels: Labels


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """Raises an alert for each series that its expression returns, once it has done so for ``for_ms``."""

    name: str
    node: Node = field(repr=False)
    labels: Labels
    annotations: Mapping[str, str]
    for_ms: int


Rule = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated together, in order."""

    name: str
    file: str
    interval_ms: int
    rules: tuple[Rule, ...]


def parse_rule_file(text: str, *, file: str) -> tuple[RuleGroup, ...]:
    """Return the groups of a rule file. Raises RuleFileError or ParseError."""
    document = yaml.safe_load(text)
    groups = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise RuleFileError(f"{file}: want a mapping with a list of groups")
    return tuple(_group(group, file) for group in groups)


def _group(value: Mapping[str, Any], file: str) -> RuleGroup:
    name = str(value["name"])
    interval_ms = _duration_ms(value.get("interval"), DEFAULT_INTERVAL_MS, f"group {name}: interval")
    return RuleGroup(name, file, interval_ms, tuple(_rule(rule, name) for rule in value.get("rules") or ()))


def _rule(value: Mapping[str, Any], group: str) -> Rule:
    name = str(value.get("record") or value.get("alert") or "")
    if not name or "expr" not in value:
        raise RuleFileError(f"group {group}: a rule needs `expr`, and `record` or `alert`")
    node = parse(str(value["expr"]))
    if type_of(node) not in {"vector", "scalar"}:
        raise RuleFileError(f"rule {name}: `expr` must be an instant vector or a scalar")
    labels = labels_of({k: str(v) for k, v in (value.get("labels") or {}).items()})
    if "record" in value:
        return RecordingRule(name, node, labels)
    annotations = {k: str(v) for k, v in (value.get("annotations") or {}).items()}
    return AlertingRule(name, node, labels, annotations, _duration_ms(value.get("for"), 0, f"rule {name}: for"))


def _duration_ms(value: object, default_ms: int, what: str) -> int:
    if value is None:
        return default_ms
    duration_ms = parse_ms(str(value))
    if duration_ms is None:
        raise RuleFileError(f"{what}: not a duration")
    return duration_ms
