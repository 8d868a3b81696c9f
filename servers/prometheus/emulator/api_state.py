"""The part of the HTTP API that tells of Prometheus itself: targets, rules, alerts, status."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from servers.prometheus.emulator.answers import guarded, success
from servers.prometheus.emulator.monitor import RETENTION_MS, Monitor
from servers.prometheus.emulator.numbers import scientific_text
from servers.prometheus.emulator.parameters import BadParameter, Parameters, rfc3339
from servers.prometheus.emulator.promql.durations import format_ms
from servers.prometheus.emulator.promql.labels import NAME, Labels
from servers.prometheus.emulator.promql.matchers import Matcher, all_match
from servers.prometheus.emulator.promql.printer import text as query_text
from servers.prometheus.emulator.rulefile import AlertingRule
from servers.prometheus.emulator.rules import ActiveAlert, GroupState, RuleState
from servers.prometheus.emulator.source import Target

_TOP = 10


class StateApi:
    """Handlers of the addresses that describe the emulated Prometheus."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/targets", guarded(self._targets)),
            Route("/api/v1/rules", guarded(self._rules)),
            Route("/api/v1/alerts", guarded(self._alerts)),
            Route("/api/v1/status/tsdb", guarded(self._tsdb)),
            Route("/api/v1/status/buildinfo", guarded(self._build)),
            Route("/api/v1/status/runtimeinfo", guarded(self._runtime)),
            Route("/api/v1/status/flags", guarded(self._flags)),
            Route("/-/ready", _ready),
            Route("/-/healthy", _healthy),
        ]

    async def _targets(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        state = parameters.text("state").lower()
        pool = parameters.text("scrapePool")
        shown = [t for t in self._monitor.targets if not pool or t.job == pool] if state != "dropped" else []
        interval_ms = self._monitor.metrics.interval_ms
        last_ms = self._monitor.now_ms // interval_ms * interval_ms
        counts = (
            {"droppedTargetCounts": {t.job: 0 for t in self._monitor.targets}} if self._monitor.release.is_3 else {}
        )
        active = [_target(t, last_ms, interval_ms) for t in shown]
        return success({"activeTargets": active, "droppedTargets": [], **counts})

    async def _rules(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        kind = parameters.choice("type", "alert", "record")
        await asyncio.to_thread(self._monitor.catch_up)
        if not self._monitor.release.is_3:
            return success({"groups": [_group(g, _of(g, kind), alerts=True) for g in self._monitor.rules.groups]})
        kept = self._filtered(parameters, kind)
        page, token = _page(kept, parameters)
        alerts = not parameters.flag("exclude_alerts")
        groups = [_group(group, rules, alerts=alerts) for group, rules in page]
        return success({"groups": groups} | ({"groupNextToken": token} if token else {}))

    def _filtered(self, parameters: Parameters, kind: str) -> list[tuple[GroupState, list[RuleState]]]:
        names, groups, files = (set(parameters.all(name)) for name in ("rule_name[]", "rule_group[]", "file[]"))
        matchers = [selector.matchers for selector in parameters.selectors()]
        found = []
        for state in self._monitor.rules.groups:
            if (groups and state.group.name not in groups) or (files and state.group.file not in files):
                continue
            rules = [
                r
                for r in _of(state, kind)
                if (not names or r.rule.name in names)
                and (not matchers or any(all_match(wanted, r.rule.labels) for wanted in matchers))
            ]
            if rules:
                found.append((state, rules))
        return found

    async def _alerts(self, _request: Request) -> Response:
        await asyncio.to_thread(self._monitor.catch_up)
        return success({"alerts": [_alert(alert) for _, _, alert in self._monitor.rules.alerts()]})

    async def _tsdb(self, request: Request) -> Response:
        limit = (await Parameters.of(request)).count("limit") or _TOP
        found = await asyncio.to_thread(self._label_sets)
        pairs = Counter(pair for labels in found for pair in labels)
        values: dict[str, set[str]] = {}
        for name, value in pairs:
            values.setdefault(name, set()).add(value)
        now_ms = self._monitor.now_ms
        return success(
            {
                "headStats": {
                    "numSeries": len(found),
                    "numLabelPairs": len(pairs),
                    "chunkCount": len(found),
                    "minTime": now_ms - RETENTION_MS,
                    "maxTime": now_ms,
                },
                "seriesCountByMetricName": _top({v: n for (name, v), n in pairs.items() if name == NAME}, limit),
                "labelValueCountByLabelName": _top({name: len(v) for name, v in values.items()}, limit),
                "memoryInBytesByLabelName": _top({k: sum(map(len, v)) for k, v in values.items()}, limit),
                "seriesCountByLabelValuePair": _top({f"{k}={v}": n for (k, v), n in pairs.items()}, limit),
            }
        )

    def _label_sets(self) -> list[Labels]:
        self._monitor.catch_up()
        now_ms = self._monitor.now_ms
        return self._monitor.engine.storage.label_sets([Matcher(NAME, "!=", "")], now_ms - RETENTION_MS, now_ms)

    async def _build(self, _request: Request) -> Response:
        return success(
            {
                "version": self._monitor.release.version,
                "revision": "emulator",
                "branch": "emulator",
                "buildUser": "mcp-portal",
                "buildDate": "",
                "goVersion": "none",
            }
        )

    async def _runtime(self, _request: Request) -> Response:
        started = rfc3339(self._monitor.started_s * 1_000)
        newer = {"hostname": "emulator", "serverTime": rfc3339(self._monitor.now_ms), "GOMEMLIMIT": 0}
        return success(
            {
                "startTime": started,
                "CWD": "/",
                "reloadConfigSuccess": True,
                "lastConfigTime": started,
                "corruptionCount": 0,
                "goroutineCount": 1,
                "GOMAXPROCS": 1,
                "GOGC": "",
                "GODEBUG": "",
                "storageRetention": format_ms(RETENTION_MS),
            }
            | (newer if self._monitor.release.is_3 else {})
        )

    async def _flags(self, _request: Request) -> Response:
        return success(
            {
                "query.lookback-delta": "5m",
                "query.max-samples": "4000000",
                "storage.tsdb.retention.time": format_ms(RETENTION_MS),
                "web.enable-lifecycle": "false",
            }
        )


async def _ready(_request: Request) -> Response:
    return PlainTextResponse("Prometheus Server is Ready.\n")


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("Prometheus Server is Healthy.\n")


def _target(target: Target, last_ms: int, interval_ms: int) -> dict[str, Any]:
    up = target.is_up(last_ms / 1_000)
    labels = {"instance": target.instance, "job": target.job, **target.labels}
    url = f"http://{target.instance}/metrics"
    return {
        "discoveredLabels": {
            "__address__": target.instance,
            "__metrics_path__": "/metrics",
            "__scheme__": "http",
            **labels,
        },
        "labels": labels,
        "scrapePool": target.job,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": "" if up else "server returned HTTP status 503 Service Unavailable",
        "lastScrape": rfc3339(last_ms),
        "lastScrapeDuration": 0.002,
        "health": "up" if up else "down",
        "scrapeInterval": format_ms(interval_ms),
        "scrapeTimeout": format_ms(min(interval_ms, 10_000)),
    }


def _of(state: GroupState, kind: str) -> list[RuleState]:
    return [r for r in state.rules if not kind or (kind == "alert") == isinstance(r.rule, AlertingRule)]


def _group(state: GroupState, rules: Sequence[RuleState], *, alerts: bool) -> dict[str, Any]:
    return {
        "name": state.group.name,
        "file": state.group.file,
        "rules": [_rule(rule, alerts=alerts) for rule in rules],
        "interval": state.group.interval_ms / 1_000,
        "limit": 0,
        "evaluationTime": 0.001,
        "lastEvaluation": rfc3339(state.evaluated_ms),
    }


def _rule(state: RuleState, *, alerts: bool) -> dict[str, Any]:
    rule = state.rule
    common = {
        "name": rule.name,
        "query": query_text(rule.node),
        "labels": dict(rule.labels),
        "health": "err" if state.error else "ok",
        "evaluationTime": 0.001,
        "lastEvaluation": rfc3339(state.evaluated_ms),
    } | ({"lastError": state.error} if state.error else {})
    if not isinstance(rule, AlertingRule):
        return common | {"type": "recording"}
    return common | {
        "type": "alerting",
        "state": state.state,
        "duration": rule.for_ms / 1_000,
        "keepFiringFor": 0,
        "annotations": dict(rule.annotations),
        "alerts": [_alert(alert) for alert in list(state.alerts.values())] if alerts else [],
    }


def _alert(alert: ActiveAlert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": rfc3339(alert.active_ms),
        "value": scientific_text(alert.value),
    }


def _page(
    found: list[tuple[GroupState, list[RuleState]]], parameters: Parameters
) -> tuple[list[tuple[GroupState, list[RuleState]]], str]:
    limit, token = parameters.count("group_limit"), parameters.text("group_next_token")
    if token and not limit:
        raise BadParameter(
            'invalid parameter "group_limit": group_limit needs to be set in order to paginate over the groups'
        )
    tokens = [_token(state) for state, _ in found]
    if token and token not in tokens:
        raise BadParameter(f'invalid parameter "group_next_token": invalid group_next_token "{token}"')
    start = tokens.index(token) if token else 0
    end = start + limit if limit else len(found)
    return found[start:end], tokens[end] if end < len(found) else ""


def _token(state: GroupState) -> str:
    return hashlib.sha256(f"{state.group.file};{state.group.name}".encode()).hexdigest()[:40]


def _top(counts: Mapping[str, int], limit: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "value": count} for name, count in ordered[:limit]]
