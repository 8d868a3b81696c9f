"""Why an alert fires."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from servers._kit import NotFound, ToolFailure, tool
from servers._kit.failures import quote
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.discovery import RuleState
from servers.prometheus.inputs import Matchers
from servers.prometheus.models import Sample
from servers.prometheus.models_alerts import Alert, AlertExplanation, AlertRule

STATES = ("inactive", "pending", "firing")
MAX_RULES = 10
MAX_VALUES = 50
RUNBOOKS = ("runbook_url", "runbook")


@tool(effect="read", scope="prometheus:read")
async def explain_alert(
    client: Prometheus,
    alert: Annotated[str, Field(min_length=1, max_length=300, description="Name of the alert.")],
    labels: Matchers = [],  # noqa: B006
) -> AlertExplanation:
    """Explain why an alert fires: its rule and PromQL expression, current values, since when, summary and runbook.

    The first call when somebody was paged. Also shows the rules of an alert that is quiet.
    """
    wanted = m.tests([m.parse(text) for text in labels])
    chunk = await client.discovery.rules(rule_type="alerting", name=alert, with_alerts=True)
    if not chunk.rules:
        raise NotFound(f"there is no alerting rule {quote(alert)}; list_rules(type='alerting') lists them")
    rules = await asyncio.gather(*(_explained(client, rule, wanted) for rule in chunk.rules[:MAX_RULES]))
    since = [a.since for rule in rules for a in rule.alerts if a.since]
    return AlertExplanation(
        name=alert,
        state=max((rule.state for rule in rules), key=lambda s: STATES.index(s) if s in STATES else 0),
        since=min(since, default=None),
        rules=list(rules),
    )


async def _explained(client: Prometheus, state: RuleState, wanted: m.Test) -> AlertRule:
    rule = state.rule
    current: list[Sample] = []
    error, more = None, False
    try:
        result = await client.instant(rule.expr, limit=MAX_VALUES * 10)
        # An alert carries the labels of its rule as well: a filter on severity must find its values.
        current = [s for s in result.samples if wanted({**s.labels, **rule.labels, "alertname": rule.name})]
        more = result.truncated
    except ToolFailure as failure:
        error = failure.message
    alerts = [a for a in state.alerts if wanted(a.labels)]
    shown = alerts[0].annotations if alerts else rule.annotations
    return AlertRule(
        group=rule.group,
        file=rule.file,
        expr=rule.expr,
        state=_worst(alerts),
        health=rule.health,
        last_error=rule.last_error,
        for_s=rule.for_s or 0.0,
        keep_firing_for_s=state.keep_firing_for_s,
        labels=rule.labels,
        summary=shown.get("summary"),
        description=shown.get("description"),
        runbook_url=next((shown[name] for name in RUNBOOKS if name in shown), None),
        alerts=alerts[:MAX_VALUES],
        current=current[:MAX_VALUES],
        current_error=error,
        truncated=more or len(alerts) > MAX_VALUES or len(current) > MAX_VALUES,
    )


def _worst(alerts: list[Alert]) -> str:
    """Return the worst state of the alerts that were asked for, which the rule's own state may exceed."""
    return max((a.state for a in alerts if a.state in STATES), key=STATES.index, default="inactive")
