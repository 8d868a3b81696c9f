"""Targets, rules and alerts as Prometheus reports them. Credentials in scrape addresses stay here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from servers._kit.http import Http
from servers.prometheus import decode
from servers.prometheus.decode import understood
from servers.prometheus.models_alerts import Alert, Rule, Target
from servers.prometheus.moments import duration_s

VENDOR = "Prometheus"
RuleType = Literal["alerting", "recording"]


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule with what list_rules does not show."""

    rule: Rule
    keep_firing_for_s: float
    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class RuleChunk:
    """The rules of some groups; ``next_token`` names the groups after them, None when there are none."""

    rules: list[RuleState]
    next_token: str | None


class Discovery:
    """What Prometheus watches and what it concludes."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def targets(
        self, *, state: Literal["active", "dropped", "any"], pool: str | None
    ) -> tuple[list[Target], int | None]:
        """Return (targets, number of dropped ones, None when it is not told); dropped ones have the health ``dropped``.

        Raises ToolFailure.
        """
        answer = await self._http.get(
            "/api/v1/targets", {"state": None if state == "any" else state, "scrapePool": pool}
        )
        with understood(VENDOR):
            data = answer["data"]
            active = [_target(t) for t in data["activeTargets"] or []]
            dropped = [_dropped(t) for t in data["droppedTargets"] or []]
            found = [t for t in active + dropped if pool is None or t.pool == pool]
            # Prometheus 3 counts what it leaves out of the list; 2 tells only when the list was asked for.
            counts: Mapping[str, int] | None = data.get("droppedTargetCounts")
            if counts is None and state != "active":
                counts = Counter(t.pool for t in dropped)
            if counts is None:
                return found, None
            return found, sum(count for name, count in counts.items() if pool is None or name == pool)

    async def rules(
        self,
        *,
        rule_type: RuleType | None = None,
        name: str | None = None,
        group: str | None = None,
        with_alerts: bool = False,
        group_limit: int | None = None,
        token: str | None = None,
    ) -> RuleChunk:
        """Return rules group by group. Raises ToolFailure.

        Prometheus 2 knows neither ``group_limit`` nor name filters: it sends all groups, and they are filtered here.
        """
        answer = await self._http.get(
            "/api/v1/rules",
            {
                "type": {"alerting": "alert", "recording": "record"}[rule_type] if rule_type else None,
                "rule_name[]": name,
                "rule_group[]": group,
                "exclude_alerts": None if with_alerts else True,
                "group_limit": group_limit,
                "group_next_token": token,
            },
        )

        def wanted(rule: Rule) -> bool:
            return (
                (name is None or rule.name == name)
                and (group is None or rule.group == group)
                and (rule_type is None or rule.type == rule_type)
            )

        with understood(VENDOR):
            data = answer["data"]
            found = [_rule(r, g) for g in data["groups"] or [] for r in g["rules"] or []]
            return RuleChunk([r for r in found if wanted(r.rule)], data.get("groupNextToken") or None)

    async def alerts(self) -> list[Alert]:
        """Return every pending and firing alert. Raises ToolFailure."""
        answer = await self._http.get("/api/v1/alerts")
        with understood(VENDOR):
            return [_alert(a) for a in answer["data"]["alerts"] or []]


def without_credentials(url: str) -> str:
    """Return a scrape address without user, password, query and fragment: exporters take tokens in all of them."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _target(target: Any) -> Target:
    url = decode.text(target["scrapeUrl"])
    shown = without_credentials(url)
    error = decode.text(target["lastError"])
    for spelled in {url, decode.text(target.get("globalUrl", url))}:
        error = error.replace(spelled, shown) if spelled else error
    return Target(
        pool=target["scrapePool"],
        health=target["health"],
        url=shown,
        labels=decode.labels(target["labels"]),
        last_error=_without_queries(error) or None,
        last_scrape=decode.moment(target["lastScrape"]),
        scrape_duration_s=target["lastScrapeDuration"],
        interval_s=duration_s(target["scrapeInterval"]) if target.get("scrapeInterval") else None,
    )


def _without_queries(error: str) -> str:
    """Return an error without the queries of its addresses: Go hides the password of an address, not its query."""
    return " ".join(
        word.partition("?")[0] + '?…"' * ("?" in word) if "://" in word else word for word in error.split(" ")
    )


def _dropped(target: Any) -> Target:
    found = decode.labels(target["discoveredLabels"])
    return Target(
        pool=target.get("scrapePool") or found.get("job", ""),
        health="dropped",
        url=found.get("__address__", ""),
        labels={name: value for name, value in found.items() if not name.startswith("__")},
        last_error=None,
        last_scrape=None,
        scrape_duration_s=0.0,
        interval_s=None,
    )


def _rule(rule: Any, group: Any) -> RuleState:
    alerting = rule["type"] == "alerting"
    return RuleState(
        rule=Rule(
            name=rule["name"],
            type=rule["type"],
            group=group["name"],
            file=group["file"],
            expr=rule["query"],
            state=rule["state"] if alerting else None,
            health=rule["health"],
            last_error=rule.get("lastError") or None,
            for_s=rule["duration"] if alerting else None,
            labels=decode.labels(rule.get("labels") or {}),
            annotations=decode.labels(rule.get("annotations") or {}),
            last_evaluation=decode.moment(rule["lastEvaluation"]),
            evaluation_s=rule["evaluationTime"],
        ),
        keep_firing_for_s=rule.get("keepFiringFor") or 0.0,
        alerts=[_alert(a) for a in rule.get("alerts") or []],
    )


def _alert(alert: Any) -> Alert:
    found = decode.labels(alert["labels"])
    value, raw = decode.number(alert["value"])
    return Alert(
        name=found.get("alertname", ""),
        state=alert["state"],
        labels=found,
        annotations=decode.labels(alert["annotations"]),
        since=decode.moment(alert.get("activeAt")),
        value=value,
        raw=raw,
    )
