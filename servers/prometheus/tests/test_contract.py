"""Every tool keeps our contract; every request and answer keeps the vendors' own published descriptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from servers._kit.testing import ToolError, connected, faults_of
from servers.prometheus.server import create
from servers.prometheus.tests.conftest import Answer, Answering, Asked, Caller, Stack, Vendor

CONTRACTS = Path(__file__).parents[3].parent / "shared" / "contracts" / "prometheus"

EFFECTS = {"create_silence": ("write", "prometheus:write"), "expire_silence": ("destructive", "prometheus:admin")}
TOOLS = [
    "compare_windows",
    "create_silence",
    "expire_silence",
    "explain_alert",
    "find_series",
    "format_query",
    "get_cardinality",
    "get_metric_metadata",
    "get_server_info",
    "list_alert_groups",
    "list_alerts",
    "list_label_names",
    "list_label_values",
    "list_metrics",
    "list_rules",
    "list_silences",
    "list_targets",
    "parse_query",
    "query",
    "query_batch",
    "query_exemplars",
    "query_histogram_quantile",
    "query_range",
]

# The documents describe Prometheus 3 and Alertmanager 0.30; older ones lack fields that they require.
OLDER_ANSWERS = {
    "/api/v1/targets": {"droppedTargetCounts"},
    "/api/v1/status/runtimeinfo": {"hostname", "serverTime", "GOMEMLIMIT"},
    "/api/v2/alerts/groups": {"mutedBy", "routeLabels"},
    "/api/v2/silences": {"annotations"},
    "/api/v2/silence": {"annotations"},
}


async def test_every_tool_keeps_the_contract() -> None:
    async with connected(create({})) as prometheus:
        tools = await prometheus.tools()
    assert [t.name for t in tools] == TOOLS
    assert {t.name: faults_of(t) for t in tools} == {name: [] for name in TOOLS}
    for tool in tools:
        effect, scope = EFFECTS.get(tool.name, ("read", "prometheus:read"))
        assert tool.meta == {"mcp-portal/effect": effect, "mcp-portal/scope": scope}
        assert len(tool.description or "") <= 300


@cache
def _document(name: str) -> dict[str, Any]:
    # The safe loader written in C: the one in Python takes seconds for these documents.
    found: dict[str, Any] = yaml.load((CONTRACTS / name).read_text(), Loader=yaml.CSafeLoader)
    return found


class Prometheus3:
    """The OpenAPI document of Prometheus."""

    def __init__(self) -> None:
        self.document = _document("openapi_3.1_golden.yaml")

    def operation(self, asked: Asked) -> tuple[str, dict[str, Any]]:
        path = asked.path.removeprefix("/api/v1")
        if path.startswith("/label/"):
            path = "/label/{name}/values"
        return path, self.document["paths"][path][asked.method.lower()]

    def check_request(self, asked: Asked) -> None:
        path, operation = self.operation(asked)
        if "requestBody" in operation:
            form = self.resolved(operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"])
            known, required = form["properties"], set(form["required"])
        else:
            query = [p for p in operation.get("parameters", []) if p["in"] == "query"]
            known, required = {p["name"]: p["schema"] for p in query}, {p["name"] for p in query if p.get("required")}
        assert asked.params.keys() <= known.keys(), path
        assert required <= asked.params.keys(), path
        for name, values in asked.params.items():
            kind = self.resolved(known[name]).get("type")
            assert kind == "array" or len(values) == 1, f"{path} {name}"
            assert kind != "integer" or values[0].isdigit(), f"{path} {name}"

    def faults(self, asked: Asked, answer: Any) -> list[str]:
        _, operation = self.operation(asked)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        return _faults({**schema, "components": self.document["components"]}, answer)

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = self.document["components"]["schemas"][name] if name else schema
        return found


class Alertmanager2:
    """The Swagger document of Alertmanager's API v2."""

    def __init__(self) -> None:
        self.document = _document("alertmanager-v2-openapi.yaml")

    def operation(self, asked: Asked) -> dict[str, Any]:
        path = asked.path.removeprefix("/api/v2")
        if path.startswith("/silence/"):
            path = "/silence/{silenceID}"
        found: dict[str, Any] = self.document["paths"][path][asked.method.lower()]
        return found

    def check_request(self, asked: Asked) -> None:
        parameters = self.operation(asked).get("parameters", [])
        kinds = {p["name"]: p["type"] for p in parameters if p.get("in") == "query"}
        assert asked.params.keys() <= kinds.keys()
        for name, values in asked.params.items():
            assert kinds[name] == "array" or len(values) == 1
            assert kinds[name] != "boolean" or values[0] in {"true", "false"}
        for parameter in parameters:
            if parameter.get("in") == "body":
                schema = {**parameter["schema"], "definitions": self.document["definitions"]}
                assert _faults(schema, json.loads(asked.body)) == []

    def faults(self, asked: Asked, answer: Any) -> list[str]:
        schema = self.operation(asked)["responses"]["200"].get("schema")
        return _faults({**schema, "definitions": self.document["definitions"]}, answer) if schema else []


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


@pytest.fixture
def recorded(
    stack: Stack, scripted: Callable[[Answering], Vendor]
) -> Iterator[tuple[Caller, list[tuple[Asked, int, bytes]]]]:
    """The server in front of proxies that keep every request with its answer."""
    kept: list[tuple[Asked, int, bytes]] = []
    with httpx.Client(trust_env=False, timeout=10) as http:

        def through(target: str) -> Answering:
            def answering(asked: Asked) -> Answer:
                form = asked.headers.get("content-type") == "application/x-www-form-urlencoded"
                headers = {"content-type": asked.headers["content-type"]} if "content-type" in asked.headers else {}
                params = None if form else asked.params
                answer = http.request(
                    asked.method, target + asked.path, params=params, content=asked.body, headers=headers
                )
                kept.append((asked, answer.status_code, answer.content))
                return answer.status_code, answer.content

            return answering

        urls = {
            "url": scripted(through(stack.url)).url,
            "alertmanager_url": scripted(through(stack.alertmanager_url)).url,
        }
        yield Caller(urls), kept


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("query", {"query": "demo_odd", "time": "now", "timeout": "5s"}),
    ("query", {"query": "1"}),
    ("query", {"query": "up[10s]"}),
    ("query_range", {"query": "demo_queue_depth", "start": "-1m"}),
    ("query_batch", {"queries": ["up", "vector(1)"]}),
    ("compare_windows", {"query": "up", "window": "10s", "offset": "5s"}),
    ("query_histogram_quantile", {"metric": "demo_latency_seconds", "by": ["service"]}),
    ("query_exemplars", {"query": "demo_latency_seconds_bucket"}),
    ("list_metrics", {"match": "up"}),
    ("get_metric_metadata", {"metric": "demo_odd"}),
    ("list_label_names", {"match": ["up", "demo_odd"]}),
    ("list_label_values", {"label": "job"}),
    ("find_series", {"match": ["up", "demo_odd"]}),
    ("get_cardinality", {}),
    ("format_query", {"query": "up"}),
    ("list_targets", {"state": "any", "pool": "demo"}),
    ("list_rules", {"type": "alerting", "name": "QueueGrowing", "group": "queues"}),
    ("list_rules", {}),
    ("list_alerts", {}),
    ("explain_alert", {"alert": "QueueGrowing"}),
    ("get_server_info", {}),
    ("list_alert_groups", {"matchers": ["severity=page", 'queue!~"x"'], "silenced": False}),
    ("list_silences", {"matchers": ["a=b"]}),
    ("create_silence", {"matchers": ["contract=checked", 'x!~"y"'], "duration": "1m", "comment": "Contract"}),
]


@pytest.mark.skipif(not CONTRACTS.is_dir(), reason="the vendors' documents are not beside this checkout")
async def test_requests_and_answers_keep_the_documents_of_the_vendors(
    recorded: tuple[Caller, list[tuple[Asked, int, bytes]]],
) -> None:
    prometheus, kept = recorded
    for tool, arguments in CALLS:
        answer = await prometheus.call(tool, **arguments)
    await prometheus.call("expire_silence", id=answer["id"])
    with pytest.raises(ToolError):
        await prometheus.call("parse_query", query="up )")

    metrics, alerts = Prometheus3(), Alertmanager2()
    for asked, status, body in kept:
        document = metrics if asked.path.startswith("/api/v1") else alerts
        document.check_request(asked)
        if status == 200 and body:
            excused = {f"'{name}' is a required property" for name in OLDER_ANSWERS.get(_place(asked), ())}
            assert set(document.faults(asked, json.loads(body))) - excused == set(), asked.path
    # A tool that stopped asking would be missing here.
    places = sorted({_place(asked) for asked, _, _ in kept})
    assert len([p for p in places if p.startswith("/api/v1")]) == 16, places
    assert [p for p in places if p.startswith("/api/v2")] == [
        "/api/v2/alerts/groups",
        "/api/v2/silence",
        "/api/v2/silences",
        "/api/v2/status",
    ]


def _place(asked: Asked) -> str:
    return asked.path.rpartition("/")[0] if "/silence/" in asked.path else asked.path
