"""What agents are asked: in a person's words, the queries that an agent searches with, a program, and what is true.

The queries are short, one per step, and the same for every way; none was changed after it had been asked. ``right``
judges the end state from the demo company itself (see ``truth``): the answer, and for writes what the vendor holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from bench.tokens.truth import Truth

CLOSE = 0.15
"""By which share a measured value may differ from what it is when it is checked, moments later."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task."""

    name: str
    asked: str
    queries: list[str]
    program: str
    right: Callable[[Any, Truth], bool]


def close(found: Mapping[str, float], true: Mapping[str, float]) -> bool:
    """Say whether two tables of measured values are the same."""
    return set(found) == set(true) and all(abs(found[k] - true[k]) <= CLOSE * abs(true[k]) + 0.01 for k in true)


def _program(text: str) -> str:
    return dedent(text).strip()


def _alerts_by_severity(answer: Any, truth: Truth) -> bool:
    return bool(answer == Counter(alert["labels"]["severity"] for alert in truth.alerts()))


def _error_rates(answer: Any, truth: Truth) -> bool:
    owned = {n for n, e in truth.of_kind("component").items() if e["spec"]["type"] == "service"}
    owned = {name for name in owned if truth.owner(name) == "checkout"}
    errors = truth.values('sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))')
    every = truth.values("sum by (service) (rate(http_requests_total[5m]))")
    return close(answer, {name: 100 * errors.get(name, 0) / every[name] for name in owned})


def _whom_to_warn(answer: Any, truth: Truth) -> bool:
    affected = {ref for ref in truth.dependents("resource:accounts-db", 3) if ref.startswith("component:")}
    owners = {truth.owner(*reversed(ref.split(":"))) for ref in affected}
    return bool(answer == {"affected": len(affected), "chats": sorted(truth.chat(owner) for owner in owners)})


def _silenced(answer: Any, truth: Truth) -> bool:
    [silence] = [s for s in truth.silences() if s["id"] == answer["id"]]
    wanted = {("alertname", "HighErrorRate"), ("service", "checkout-api")}
    return {(m["name"], m["value"]) for m in silence["matchers"]} == wanted and "rollback" in silence["comment"]


def _team_silenced(answer: Any, truth: Truth) -> bool:
    services = {n for n, e in truth.of_kind("component").items() if e["spec"]["type"] == "service"}
    held = {s["id"]: {(m["name"], m["value"]) for m in s["matchers"]} for s in truth.silences()}
    return set(answer) == {s for s in services if truth.owner(s) == "payments"} and all(
        held[answer[service]] == {("service", service)} for service in answer
    )


def _without_runbook(answer: Any, truth: Truth) -> bool:
    found = {
        name: truth.owner(name)
        for name, entity in truth.of_kind("component").items()
        if entity["spec"]["type"] in {"service", "job"}
        and entity["spec"]["lifecycle"] == "production"
        and "acme.test/runbook" not in entity["metadata"]["annotations"]
    }
    return bool(answer == found)


def _consumers(answer: Any, truth: Truth) -> bool:
    found = {
        name: truth.entities[f"group:{truth.owner(name)}"]["spec"]["profile"]["email"]
        for name, entity in truth.of_kind("component").items()
        if "payments-http-api" in entity["spec"].get("consumesApis", ())
    }
    return bool(answer == found)


def _busiest(answer: Any, truth: Truth) -> bool:
    rates = truth.values("sum by (service) (rate(http_requests_total[5m]))")
    least = sorted(rates.values())[-5]
    return len(answer) == 5 and all(
        rates[row["service"]] >= least * (1 - CLOSE) and row["owner"] == truth.owner(row["service"]) for row in answer
    )


def _down(answer: Any, truth: Truth) -> bool:
    down = [service for service, value in truth.values("up").items() if value == 0]
    return bool(answer == {service: truth.chat(truth.owner(service)) for service in down})


def _latency_explained(answer: Any, truth: Truth) -> bool:
    rule = truth.rule("HighLatency")
    wanted = {alert["labels"]["service"] for alert in rule["alerts"] if alert["state"] == "firing"}
    return bool(set(answer["services"]) == wanted and answer["runbook"] == rule["annotations"]["runbook_url"])


def _stores(answer: Any, truth: Truth) -> bool:
    return bool(answer == sorted(r.split(":")[1] for r in truth.needs("component:checkout-api") if "resource:" in r))


def _registered(answer: Any, truth: Truth) -> bool:
    kept = "".join(p.read_text(encoding="utf-8") for p in (truth.folder / "registered").rglob("*") if p.is_file())
    return "incoming/loyalty.yaml" in kept and bool(answer == {"owner": "checkout", "problems": 0})


def _deprecated(answer: Any, truth: Truth) -> bool:
    found = {n for n, e in truth.of_kind("component").items() if e["spec"]["lifecycle"] == "deprecated"}
    return bool(answer == {name: sorted(truth.dependents(f"component:{name}", 1)) for name in found})


def _apis_of_person(answer: Any, truth: Truth) -> bool:
    teams = truth.entities["user:wendy"]["spec"]["memberOf"]
    return bool(answer == {t: sorted(n for n in truth.of_kind("api") if truth.owner(n, "api") == t) for t in teams})


def _alerts_by_team(answer: Any, truth: Truth) -> bool:
    counts = Counter(truth.owner(alert["labels"]["service"]) for alert in truth.alerts())
    links = {team: truth.entities[f"group:{team}"]["metadata"]["links"] for team in counts}
    calls = {team: next(k["url"] for k in found if k["type"] == "on-call") for team, found in links.items()}
    return bool(answer == {team: {"alerts": counts[team], "on_call": calls[team]} for team in counts})


def _least_ready(answer: Any, truth: Truth) -> bool:
    wanted = {}
    for name, entity in truth.of_kind("component").items():
        annotations = entity["metadata"].get("annotations", {})
        if entity["spec"]["type"] == "service" and entity["spec"]["lifecycle"] == "production":
            lacks = [k for k in ("runbook", "dashboard") if f"acme.test/{k}" not in annotations]
            if lacks:
                wanted[name] = len(lacks)
    return bool(answer == wanted)


def _worse(answer: Any, truth: Truth) -> bool:
    shares = truth.values(
        'sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))'
        " / sum by (service) (rate(http_requests_total[5m]))"
    )
    return bool(answer == max(shares, key=lambda service: shares[service]))


def _most_series(answer: Any, truth: Truth) -> bool:
    return bool(dict(answer) == dict(truth.series_by_metric()[:3]))


def _operations(answer: Any, truth: Truth) -> bool:
    found = Counter(method.upper() for method, _ in truth.operations("orders.openapi.yaml"))
    return bool(answer == found)


def _slow(answer: Any, truth: Truth) -> bool:
    quantile = "histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))"
    slow = {service: value for service, value in truth.values(quantile).items() if value > 1}
    return close({row["service"]: row["p99"] for row in answer}, slow) and all(
        row["owner"] == truth.owner(row["service"]) for row in answer
    )


def _by_gitlab(answer: Any, truth: Truth) -> bool:
    [name] = [
        name
        for name, entity in truth.of_kind("component").items()
        if entity["metadata"].get("annotations", {}).get("sentry.io/project-slug") == "acme/order-service"
    ]
    rate = truth.values(f'sum by (service) (rate(http_requests_total{{service="{name}"}}[5m]))')
    return close({answer["service"]: answer["rate"]}, rate) and answer["team"] == truth.owner(name)


def _owner(answer: Any, truth: Truth) -> bool:
    return bool(answer == {"team": "checkout", "chat": truth.chat("checkout")})


TASKS = [
    Task(
        "owner and chat of a service",
        "Who owns checkout-api, and in which chat channel do I find them?",
        ["who owns a service and how to reach them"],
        _program("""
            import catalog
            owner = await catalog.get_owner(ref="checkout-api")
            {"team": owner["name"], "chat": [link["title"] for link in owner["links"] if link["type"] == "chat"][0]}
        """),
        _owner,
    ),
    Task(
        "firing alerts by severity",
        "How many alerts are firing, by severity?",
        ["firing alerts"],
        _program("""
            import prometheus
            found = await prometheus.list_alerts(state="firing", limit=200)
            counts = {}
            for alert in found["items"]:
                severity = alert["labels"].get("severity")
                counts[severity] = counts.get(severity, 0) + 1
            counts
        """),
        _alerts_by_severity,
    ),
    Task(
        "error rates of a team's services",
        "What percentage of requests fails for each service of the checkout team (http_requests_total, label code)?",
        ["services of a team", "run a promql query"],
        _program("""
            import asyncio
            import catalog, prometheus
            owned = await catalog.list_owned_entities(owner="checkout", kinds=["Component"])
            async def rate(service):
                errors, every = await asyncio.gather(
                    prometheus.query(query=f'sum(rate(http_requests_total{{service="{service}",code=~"5.."}}[5m]))'),
                    prometheus.query(query=f'sum(rate(http_requests_total{{service="{service}"}}[5m]))'),
                )
                failed = errors["samples"][0]["value"] if errors["samples"] else 0
                return 100 * failed / every["samples"][0]["value"]
            names = [entity["name"] for entity in owned["items"] if entity["type"] == "service"]
            rates = await asyncio.gather(*[rate(name) for name in names])
            {name: round(value, 2) for name, value in zip(names, rates)}
        """),
        _error_rates,
    ),
    Task(
        "whom to warn of an outage",
        "accounts-db will be down tonight. How many components feel it within three steps, and which chats do we tell?",
        ["what breaks when a database goes down", "chat channel of a team"],
        _program("""
            import asyncio
            import catalog
            impact = await catalog.get_impact(ref="accounts-db", depth=3)
            groups = await asyncio.gather(*[catalog.get_group(group=team["owner"]) for team in impact["by_owner"]])
            chats = [link["title"] for group in groups for link in group["links"] if link["type"] == "chat"]
            {"affected": impact["total"], "chats": sorted(chats)}
        """),
        _whom_to_warn,
    ),
    Task(
        "silence one alert",
        "Mute HighErrorRate of checkout-api for an hour: we are doing a rollback.",
        ["mute an alert for an hour"],
        _program("""
            import prometheus
            silence = await prometheus.create_silence(
                matchers=['alertname="HighErrorRate"', 'service="checkout-api"'], duration="1h", comment="rollback"
            )
            {"id": silence["id"], "until": silence["ends"]}
        """),
        _silenced,
    ),
    Task(
        "services and jobs without a runbook",
        "Which components fail the check has-runbook, and who owns each?",
        ["services without a runbook", "read details of a component"],
        _program("""
            import asyncio
            import catalog
            failing = await catalog.list_failing_checks(check="has-runbook")
            found = await asyncio.gather(*[catalog.get_entity(ref=item["ref"]) for item in failing["items"]])
            {entity["name"]: entity["owner"].split("/")[-1] for entity in found}
        """),
        _without_runbook,
    ),
    Task(
        "whom to mail before an API changes",
        "payments-http-api will change. Which components call it, and what is the mail address of the team of each?",
        ["who calls an api", "mail address of the team that owns a service"],
        _program("""
            import asyncio
            import catalog
            found = await catalog.list_api_consumers(api="payments-http-api")
            owners = await asyncio.gather(*[catalog.get_owner(ref=item["ref"]) for item in found["items"]])
            {item["name"]: owner["email"] for item, owner in zip(found["items"], owners)}
        """),
        _consumers,
    ),
    Task(
        "busiest services and their owners",
        "Which five services have most requests a second (http_requests_total), and who owns them?",
        ["query metrics with promql", "owner of a service"],
        _program("""
            import asyncio
            import catalog, prometheus
            top = await prometheus.query(query="topk(5, sum by (service) (rate(http_requests_total[5m])))")
            names = [sample["labels"].get("service") for sample in top["samples"]]
            owners = await asyncio.gather(*[catalog.get_owner(ref=f"component:{name}") for name in names])
            [{"service": name, "owner": owner["name"]} for name, owner in zip(names, owners)]
        """),
        _busiest,
    ),
    Task(
        "what is down and whom to tell",
        "Which scrape targets are down, and what is the chat channel of the team of each service?",
        ["which targets are down", "chat channel of the team that owns a service"],
        _program("""
            import asyncio
            import catalog, prometheus
            found = await prometheus.list_targets(unhealthy_only=True)
            names = [target["labels"].get("service") for target in found["targets"]["items"]]
            owners = await asyncio.gather(*[catalog.get_owner(ref=f"component:{name}") for name in names])
            {n: [k["title"] for k in owner["links"] if k["type"] == "chat"][0] for n, owner in zip(names, owners)}
        """),
        _down,
    ),
    Task(
        "why an alert fires",
        "Which services make HighLatency fire, and where is its runbook?",
        ["why does an alert fire"],
        _program("""
            import prometheus
            found = await prometheus.explain_alert(alert="HighLatency")
            rule = found["rules"][0]
            firing = [alert for alert in rule["alerts"] if alert["state"] == "firing"]
            {"services": [alert["labels"].get("service") for alert in firing], "runbook": rule["runbook_url"]}
        """),
        _latency_explained,
    ),
    Task(
        "stores of a service",
        "Which databases, caches and other resources does checkout-api use directly?",
        ["what does a service depend on"],
        _program("""
            import catalog
            found = await catalog.list_dependencies(ref="checkout-api")
            sorted(e["target"].split("/")[-1] for e in found["items"] if e["target"].startswith("resource:"))
        """),
        _stores,
    ),
    Task(
        "register a new service",
        "Add incoming/loyalty.yaml to the catalog and tell me who owns loyalty-service then.",
        ["register a catalog file", "owner of a service"],
        _program("""
            import catalog
            added = await catalog.register_location(target="incoming/loyalty.yaml")
            owner = await catalog.get_owner(ref="component:loyalty-service")
            {"owner": owner["name"], "problems": len(added["problems"])}
        """),
        _registered,
    ),
    Task(
        "who still uses deprecated components",
        "Which components are deprecated, and what still depends on each?",
        ["list deprecated components", "what depends on a component"],
        _program("""
            import asyncio
            import catalog
            old = await catalog.query_entities(
                kind="component", filters=[{"field": "spec.lifecycle", "equals": "deprecated"}]
            )
            users = await asyncio.gather(*[catalog.list_dependents(ref=entity["ref"]) for entity in old["items"]])
            {e["name"]: sorted(edge["target"] for edge in found["items"]) for e, found in zip(old["items"], users)}
        """),
        _deprecated,
    ),
    Task(
        "APIs of a person's teams",
        "Which APIs do the teams of wendy@acme.test own?",
        ["find a person and their teams", "apis of a team"],
        _program("""
            import asyncio
            import catalog
            people = await catalog.find_person(person="wendy@acme.test")
            teams = [group.split("/")[-1] for group in people["items"][0]["groups"]]
            found = await asyncio.gather(*[catalog.list_apis(owner=team) for team in teams])
            {team: sorted(api["name"] for api in apis["items"]) for team, apis in zip(teams, found)}
        """),
        _apis_of_person,
    ),
    Task(
        "firing alerts by team",
        "Count the firing alerts of each team, with the address of its on-call rotation.",
        ["firing alerts", "on-call rotation of the team that owns a service"],
        _program("""
            import asyncio
            import catalog, prometheus
            found = await prometheus.list_alerts(state="firing", limit=200)
            names = [alert["labels"].get("service") for alert in found["items"]]
            owners = await asyncio.gather(*[catalog.get_owner(ref=f"component:{name}") for name in names])
            counts, calls = {}, {}
            for owner in owners:
                team = owner["name"]
                counts[team] = counts.get(team, 0) + 1
                calls[team] = [link["url"] for link in owner["links"] if link["type"] == "on-call"][0]
            {team: {"alerts": count, "on_call": calls[team]} for team, count in counts.items()}
        """),
        _alerts_by_team,
    ),
    Task(
        "silence every service of a team",
        "The payments team has maintenance: mute all alerts of each of its services for two hours.",
        ["services of a team", "mute alerts during maintenance"],
        _program("""
            import asyncio
            import catalog, prometheus
            owned = await catalog.list_owned_entities(owner="payments", kinds=["Component"])
            names = [entity["name"] for entity in owned["items"] if entity["type"] == "service"]
            made = await asyncio.gather(*[
                prometheus.create_silence(matchers=[f'service="{name}"'], duration="2h", comment="maintenance")
                for name in names
            ])
            {name: silence["id"] for name, silence in zip(names, made)}
        """),
        _team_silenced,
    ),
    Task(
        "production services that are least ready",
        "How many of the checks has-runbook and has-dashboard does each production service fail?",
        ["list all production services", "scorecard of a service"],
        _program("""
            import asyncio
            import catalog
            found = await catalog.query_entities(
                kind="component",
                filters=[
                    {"field": "spec.type", "equals": "service"},
                    {"field": "spec.lifecycle", "equals": "production"},
                ],
                limit=200,
            )
            checks = ["has-runbook", "has-dashboard"]
            scores = await asyncio.gather(*[catalog.get_scores(ref=e["ref"], checks=checks) for e in found["items"]])
            failed = [sum(1 for check in score["items"] if not check["passed"]) for score in scores]
            {e["name"]: count for e, count in zip(found["items"], failed) if count}
        """),
        _least_ready,
    ),
    Task(
        "what became worse",
        "Which service's share of failed requests (http_requests_total, label code) grew most against 40 minutes ago?",
        ["compare a metric with its value before"],
        _program("""
            import prometheus
            share = 'sum by (service) (rate(http_requests_total{code=~"5.."}[5m]))'
            share += " / sum by (service) (rate(http_requests_total[5m]))"
            found = await prometheus.compare_windows(query=share, window="5m", offset="40m", limit=200)
            both = [row for row in found["items"] if row["delta"] is not None]
            sorted(both, key=lambda row: row["delta"])[-1]["labels"].get("service")
        """),
        _worse,
    ),
    Task(
        "what fills Prometheus",
        "Which three metrics have most series, and how many?",
        ["metrics with the most series"],
        _program("""
            import prometheus
            found = await prometheus.get_cardinality(limit=10)
            [[entry["name"], entry["count"]] for entry in found["series_by_metric"][:3]]
        """),
        _most_series,
    ),
    Task(
        "operations of an API",
        "How many operations does orders-api have, by HTTP method?",
        ["operations of an api"],
        _program("""
            import catalog
            found = await catalog.get_api_definition(api="orders-api")
            counts = {}
            for operation in found["operations"]:
                counts[operation["method"]] = counts.get(operation["method"], 0) + 1
            counts
        """),
        _operations,
    ),
    Task(
        "slow services and their owners",
        "Which services have a 99th percentile of http_request_duration_seconds over a second, and who owns them?",
        ["latency percentile of each service", "owner of a service"],
        _program("""
            import asyncio
            import catalog, prometheus
            found = await prometheus.query_histogram_quantile(
                metric="http_request_duration_seconds", quantiles=[0.99], by=["service"], limit=500
            )
            slow = [value for value in found["values"] if value["value"] is not None and value["value"] > 1]
            names = [value["labels"].get("service") for value in slow]
            owners = await asyncio.gather(*[catalog.get_owner(ref=f"component:{name}") for name in names])
            [{"service": n, "p99": v["value"], "owner": o["name"]} for n, v, o in zip(names, slow, owners)]
        """),
        _slow,
    ),
    Task(
        "from a Sentry project to its traffic",
        "Which service is the Sentry project acme/order-service, who owns it, and how many requests a second has it?",
        ["which service belongs to a sentry project", "owner of a service", "request rate of a service"],
        _program("""
            import asyncio
            import catalog, prometheus
            found = await catalog.find_entity_by_annotation(
                annotation="sentry.io/project-slug", value="acme/order-service"
            )
            service = found["items"][0]["name"]
            owner, rate = await asyncio.gather(
                catalog.get_owner(ref=f"component:{service}"),
                prometheus.query(query=f'sum(rate(http_requests_total{{service="{service}"}}[5m]))'),
            )
            {"service": service, "team": owner["name"], "rate": round(rate["samples"][0]["value"], 2)}
        """),
        _by_gitlab,
    ),
]
