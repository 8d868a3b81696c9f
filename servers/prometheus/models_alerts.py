"""What the tools about targets, rules, alerts and silences answer; conventions as in models.py."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from servers._kit import Output, Page
from servers.prometheus.models import Labels, Sample


class Target(Output):
    """One scraped endpoint."""

    pool: str
    health: str
    url: str = Field(description="Without credentials and query.")
    labels: Labels
    last_error: str | None
    last_scrape: AwareDatetime | None
    scrape_duration_s: FiniteFloat
    interval_s: FiniteFloat | None


class TargetSummary(Output):
    """Counts over all matching targets, and the targets, failing ones first."""

    up: int
    down: int
    unknown: int
    dropped: int | None = Field(description="Null when Prometheus does not tell; ask with `state`.")
    pools: list[str]
    targets: Page[Target]


class Rule(Output):
    """A recording or alerting rule."""

    name: str
    type: Literal["alerting", "recording"]
    group: str
    file: str
    expr: str
    state: str | None = Field(description="inactive, pending or firing; null for recording rules.")
    health: str
    last_error: str | None
    for_s: FiniteFloat | None
    labels: Labels
    annotations: Labels
    last_evaluation: AwareDatetime | None
    evaluation_s: FiniteFloat


class Alert(Output):
    """An active alert as Prometheus sees it."""

    name: str
    state: str
    labels: Labels
    annotations: Labels
    since: AwareDatetime | None
    value: FiniteFloat | None
    raw: str | None = None


class AlertRule(Output):
    """One rule behind an alert name: what it watches, what is active, and what the expression gives now."""

    group: str
    file: str
    expr: str
    state: str
    health: str
    last_error: str | None
    for_s: FiniteFloat
    keep_firing_for_s: FiniteFloat
    labels: Labels
    summary: str | None
    description: str | None
    runbook_url: str | None
    alerts: list[Alert]
    current: list[Sample] = Field(description="What `expr` gives now, for the labels asked for.")
    current_error: str | None
    truncated: bool


class AlertExplanation(Output):
    """Why an alert fires, or what would make it fire."""

    name: str
    state: str = Field(description="The worst state of its rules.")
    since: AwareDatetime | None = Field(description="Since when the oldest matching alert is active.")
    rules: list[AlertRule]


class ServerInfo(Output):
    """What answers, and how long it remembers."""

    version: str
    revision: str
    go_version: str
    started: AwareDatetime
    retention: str
    config_ok: bool
    config_loaded: AwareDatetime
    wal_corruptions: int
    alertmanager_version: str | None = Field(description="Null when none is configured or it does not answer.")
    alertmanager_cluster: str | None


class GroupedAlert(Output):
    """An alert as Alertmanager holds it."""

    name: str
    state: str = Field(description="active, suppressed (silenced or inhibited) or unprocessed.")
    labels: Labels
    annotations: Labels
    since: AwareDatetime
    silenced_by: list[str] = Field(description="Ids of silences.")
    inhibited_by: list[str]
    fingerprint: str


class AlertGroup(Output):
    """Alerts that are notified together."""

    receiver: str
    labels: Labels
    alerts: list[GroupedAlert]
    truncated: bool


class Silence(Output):
    """A time in which alerts that satisfy every matcher are not notified."""

    id: str
    state: str = Field(description="active, pending or expired.")
    matchers: list[str]
    starts: AwareDatetime
    ends: AwareDatetime
    created_by: str
    comment: str


class Deleted(Output):
    """A silence that is over."""

    id: str
    already_expired: bool = Field(description="True when it was over before this call.")
    created_by: str
