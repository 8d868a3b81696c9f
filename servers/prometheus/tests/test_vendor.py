"""What the real vendors of a test run do not show: Prometheus 3, proxies, credentials, and answers that are wrong."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from servers._kit.testing import ToolError
from servers.prometheus.server import create
from servers.prometheus.tests.conftest import Answer, Answering, Asked, Caller, Vendor, failure, success

Scripted = Callable[[Answering], Vendor]

AST: dict[str, Any] = {
    "type": "binaryExpr",
    "op": ">",
    "bool": False,
    "matching": None,
    "lhs": {
        "type": "aggregation",
        "op": "sum",
        "grouping": ["job", "my.label"],
        "without": False,
        "param": None,
        "expr": {
            "type": "call",
            "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
            "args": [
                {
                    "type": "matrixSelector",
                    "name": "errors_total",
                    "range": 300_000,
                    "offset": 60_000,
                    "timestamp": None,
                    "startOrEnd": None,
                    "matchers": [
                        {"name": "code", "value": "5..", "type": "=~"},
                        {"name": "__name__", "value": "errors_total", "type": "="},
                    ],
                }
            ],
        },
    },
    "rhs": {"type": "numberLiteral", "val": "0.5"},
}


def vector(*values: tuple[dict[str, str], str], **more: Any) -> Answer:
    result = [{"metric": labels, "value": [1000, value]} for labels, value in values]
    return success({"resultType": "vector", "result": result}, **more)


async def test_warnings_and_infos_are_passed_on(scripted: Scripted) -> None:
    vendor = scripted(lambda _: vector(({}, "1"), warnings=["partial"], infos=["metric might not be a counter"]))
    answer = await Caller({"url": vendor.url}).call("query", query="rate(x[5m])", limit=7, timeout="2s")
    assert answer["warnings"] == ["partial", "metric might not be a counter"]
    [asked] = vendor.asked
    assert asked.method == "POST"
    assert asked.params == {"query": ["rate(x[5m])"], "timeout": ["2s"], "limit": ["8"]}


async def test_prometheus_never_works_longer_than_we_wait(scripted: Scripted) -> None:
    vendor = scripted(lambda _: vector())
    prometheus = Caller({"url": vendor.url, "timeout_s": 4})
    await prometheus.call("query", query="x")
    await prometheus.call("query", query="x", timeout="10m")
    assert [a.params["timeout"] for a in vendor.asked] == [["4s"], ["4s"]]


async def test_native_histograms_are_answered_with_their_buckets(scripted: Scripted) -> None:
    told = {"count": "60", "sum": "120.5", "buckets": [[0, "1", "2", "40"], [0, "2", "+Inf", "20"]]}
    result = [{"metric": {"job": "a"}, "histogram": [1000, told]}]
    vendor = scripted(lambda _: success({"resultType": "vector", "result": result}))
    [sample] = (await Caller({"url": vendor.url}).call("query", query="x"))["samples"]
    assert sample["value"] is None
    assert sample["histogram"] == {
        "count": 60,
        "sum": 120.5,
        "buckets": [{"lower": 1, "upper": 2, "count": 40}, {"lower": 2, "upper": None, "count": 20}],
    }


async def test_a_range_of_native_histograms_says_how_to_ask_for_numbers(scripted: Scripted) -> None:
    result = [{"metric": {}, "histograms": [[1000, {"count": "1", "sum": "1"}]]}]
    vendor = scripted(lambda _: success({"resultType": "matrix", "result": result}))
    answer = await Caller({"url": vendor.url}).call("query_range", query="x", start=1000, end=1000)
    assert answer["series"][0]["values"] == [None]
    assert "histogram_quantile" in answer["warnings"][0]


async def test_quantiles_fall_back_to_a_native_histogram(scripted: Scripted) -> None:
    def answering(asked: Asked) -> Answer:
        return vector() if "_bucket" in asked.params["query"][0] else vector(({"job": "a"}, "0.25"))

    vendor = scripted(answering)
    answer = await Caller({"url": vendor.url}).call(
        "query_histogram_quantile",
        metric="lat",
        quantiles=[0.5],
        by=["job", "my.label"],
        matchers=['x="a\\"b"'],
        time=9,
    )
    assert (answer["kind"], answer["values"][0]["value"]) == ("native", 0.25)
    assert [a.params["query"][0] for a in vendor.asked] == [
        'histogram_quantile(0.5, sum by (le, job, "my.label") (rate({__name__="lat_bucket",x="a\\"b"}[5m])))',
        'histogram_quantile(0.5, sum by (job, "my.label") (rate({__name__="lat",x="a\\"b"}[5m])))',
    ]


async def test_an_expression_is_taken_apart_by_prometheus_3(scripted: Scripted) -> None:
    vendor = scripted(lambda _: success(AST))
    answer = await Caller({"url": vendor.url}).call("parse_query", query="whatever")
    assert answer["selectors"] == [
        {"metric": "errors_total", "matchers": ['code=~"5.."'], "range_s": 300, "offset_s": 60}
    ]
    assert answer["functions"] == ["rate"]
    assert answer["aggregations"] == ['sum by (job, "my.label")']
    assert answer["operators"] == [">"]
    assert [(n["depth"], n["type"], n["detail"]) for n in answer["nodes"]] == [
        (0, "binaryExpr", ">"),
        (1, "aggregation", 'sum by (job, "my.label")'),
        (2, "call", "rate"),
        (3, "matrixSelector", "errors_total"),
        (1, "numberLiteral", "0.5"),
    ]


async def test_an_expression_of_many_nodes_is_cut(scripted: Scripted) -> None:
    tree: dict[str, Any] = {"type": "numberLiteral", "val": "1"}
    for _ in range(600):
        tree = {"type": "parenExpr", "expr": tree}
    vendor = scripted(lambda _: success(tree))
    answer = await Caller({"url": vendor.url}).call("parse_query", query="whatever")
    assert (len(answer["nodes"]), answer["truncated"]) == (500, True)


async def test_an_older_prometheus_cannot_parse_and_the_failure_says_what_can(scripted: Scripted) -> None:
    vendor = scripted(lambda _: (404, b"404 page not found"))
    with pytest.raises(ToolError, match="use format_query") as caught:
        await Caller({"url": vendor.url}).call("parse_query", query="up")
    assert caught.value.kind == "upstream"


async def test_rule_groups_are_paged_with_the_tokens_of_prometheus_3(scripted: Scripted) -> None:
    def rule(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "recording",
            "query": "up",
            "health": "ok",
            "evaluationTime": 0.1,
            "lastEvaluation": "2026-01-01T00:00:00.123456789Z",
        }

    pages = {"": (["a", "b", "c"], "t1"), "t1": ([], "t2"), "t2": (["d", "e"], "")}

    def answering(asked: Asked) -> Answer:
        names, following = pages[asked.params.get("group_next_token", [""])[0]]
        group = {"name": "g", "file": "f", "rules": [rule(n) for n in names]}
        return success({"groups": [group], **({"groupNextToken": following} if following else {})})

    prometheus = Caller({"url": scripted(answering).url})
    names, page, sizes = [], None, []
    while True:
        answer = await prometheus.call("list_rules", limit=2, page=page)
        sizes.append(len(answer["items"]))
        names += [r["name"] for r in answer["items"]]
        page = answer["next_page"]
        if page is None:
            break
    assert names == ["a", "b", "c", "d", "e"]
    assert sizes == [2, 2, 1]


async def test_metrics_without_a_metadata_endpoint_are_still_listed(scripted: Scripted) -> None:
    vendor = scripted(lambda a: (404, b"") if a.path.endswith("metadata") else success(["up"]))
    answer = await Caller({"url": vendor.url}).call("list_metrics")
    assert answer["items"] == [{"name": "up", "type": None, "help": None, "unit": None}]


async def test_a_label_of_prometheus_3_is_spelled_for_an_address(scripted: Scripted) -> None:
    vendor = scripted(lambda _: success(["a"]))
    await Caller({"url": vendor.url}).call("list_label_values", label="http.status_code")
    assert vendor.asked[0].path == "/api/v1/label/U__http_2e_status__code/values"


async def test_dropped_targets_that_are_only_counted_are_counted(scripted: Scripted) -> None:
    data = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {"a": 5, "b": 2}}
    prometheus = Caller({"url": scripted(lambda _: success(data)).url})
    assert (await prometheus.call("list_targets"))["dropped"] == 7
    assert (await prometheus.call("list_targets", pool="b"))["dropped"] == 2


async def test_no_credential_of_a_scrape_address_is_shown(scripted: Scripted) -> None:
    url = "http://scraper:hunter2@db:9187/metrics?api_key=hunter2&x=1"
    target = {
        "discoveredLabels": {"__param_api_key": "hunter2"},
        "labels": {"job": "db"},
        "scrapePool": "db",
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": f'Get "{url}": refused, after Get "http://scraper:xxxxx@db:9187/metrics?api_key=hunter2&x=1": EOF',
        "lastScrape": "0001-01-01T00:00:00Z",
        "lastScrapeDuration": 0.0,
        "health": "down",
        "scrapeInterval": "1m30s",
        "scrapeTimeout": "10s",
    }
    vendor = scripted(lambda _: success({"activeTargets": [target], "droppedTargets": []}))
    answer = await Caller({"url": vendor.url}).call("list_targets")
    [shown] = answer["targets"]["items"]
    assert (shown["url"], shown["last_scrape"], shown["interval_s"]) == ("http://db:9187/metrics", None, 90)
    assert "refused" in shown["last_error"]
    assert "EOF" in shown["last_error"]
    assert "hunter2" not in str(answer)


async def test_each_vendor_gets_its_own_credential_and_both_the_tenant(scripted: Scripted) -> None:
    metrics = scripted(lambda _: success({"alerts": []}))
    alerts = scripted(lambda _: (200, b"[]"))
    prometheus = Caller(
        {
            "url": f"{metrics.url}/team/prometheus/",
            "token": "metrics-secret",
            "alertmanager_url": f"{alerts.url}/am",
            "alertmanager_username": "portal",
            "alertmanager_password": "alerts-secret",
            "tenant": "acme|shop",
        }
    )
    await prometheus.call("list_alerts")
    await prometheus.call("list_silences")
    assert metrics.asked[0].path == "/team/prometheus/api/v1/alerts"
    assert metrics.asked[0].headers["authorization"] == "Bearer metrics-secret"
    assert alerts.asked[0].path == "/am/api/v2/silences"
    expected = base64.b64encode(b"portal:alerts-secret").decode()
    assert alerts.asked[0].headers["authorization"] == f"Basic {expected}"
    assert {v.asked[0].headers["x-scope-orgid"] for v in (metrics, alerts)} == {"acme|shop"}


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://x"},
        {"url": "http://user:hunter2@x"},
        {"url": "http://x/?token=hunter2"},
        {"alertmanager_url": "localhost:9093"},
        {"token": "hunter2", "username": "a", "password": "hunter2"},
        {"username": "a"},
        {"alertmanager_password": "hunter2"},
        {"tenant": "a\r\nb: hunter2"},
        {"tokn": "hunter2"},
        {"max_silence_h": 0},
    ],
)
def test_settings_that_cannot_be_are_refused_without_repeating_a_secret(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        create(settings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure(422, "execution", "query processing would load too many samples"), "invalid"),
        (failure(400, "bad_data", "1:1: parse error"), "invalid"),
        (failure(503, "timeout", "query timed out"), "unavailable"),
        ((401, b"Unauthorized"), "forbidden"),
        ((403, b"no org id"), "forbidden"),
        ((429, b""), "rate_limited"),
        ((302, b""), "upstream"),
        ((200, b"<html>"), "upstream"),
        ((200, b"[]"), "upstream"),
        ((200, b"null"), "upstream"),
        ((200, b'{"status":"success"}'), "upstream"),
        ((200, b'{"status":"error","data":{}}'), "upstream"),
        (success({"resultType": "vector", "result": [{"metric": {"a": 1}, "value": [1, "1"]}]}), "upstream"),
        (success({"resultType": "vector", "result": [{"metric": {}, "value": [1e300, "1"]}]}), "upstream"),
        (success({"resultType": "vector", "result": [{"metric": {}, "value": [1, "one"]}]}), "upstream"),
        (success({"resultType": "secret", "result": []}), "upstream"),
        ((200, b'{"status":"success","data":' + b"[" * 100_000), "upstream"),
    ],
)
async def test_whatever_a_vendor_answers_the_failure_has_a_kind_and_no_stack(
    scripted: Scripted, answer: Answer, kind: str
) -> None:
    vendor = scripted(lambda _: answer)
    with pytest.raises(ToolError) as caught:
        await Caller({"url": vendor.url}).call("query", query="up")
    assert caught.value.kind == kind
    assert "failed unexpectedly" not in str(caught.value)


EVERY_READ: dict[str, dict[str, Any]] = {
    "compare_windows": {"query": "up"},
    "explain_alert": {"alert": "a"},
    "find_series": {"match": ["up"]},
    "format_query": {"query": "up"},
    "get_cardinality": {},
    "get_metric_metadata": {},
    "get_server_info": {},
    "list_alert_groups": {},
    "list_alerts": {},
    "list_label_names": {},
    "list_label_values": {"label": "job"},
    "list_metrics": {},
    "list_rules": {},
    "list_silences": {},
    "list_targets": {},
    "parse_query": {"query": "up"},
    "query": {"query": "up"},
    "query_exemplars": {"query": "up"},
    "query_histogram_quantile": {"metric": "m"},
    "query_range": {"query": "up"},
}


@pytest.mark.parametrize("tool", sorted(EVERY_READ))
@pytest.mark.parametrize("body", [b"7", b'{"status":"success","data":{"x":[{}]}}'])
async def test_no_tool_is_surprised_by_an_answer_of_another_shape(scripted: Scripted, tool: str, body: bytes) -> None:
    url = scripted(lambda _: (200, body)).url
    with pytest.raises(ToolError) as caught:
        await Caller({"url": url, "alertmanager_url": url}).call(tool, **EVERY_READ[tool])
    assert caught.value.kind == "upstream"
    assert "in a form that this server does not know" in str(caught.value)


async def test_a_number_that_is_none_in_an_answer_is_refused(scripted: Scripted) -> None:
    target = {
        "labels": {},
        "scrapePool": "a",
        "scrapeUrl": "http://a/metrics",
        "lastError": "",
        "lastScrape": "2026-01-01T00:00:00Z",
        "lastScrapeDuration": math.inf,
        "health": "up",
    }
    vendor = scripted(lambda _: success({"activeTargets": [target], "droppedTargets": []}))
    with pytest.raises(ToolError, match="in a form that this server does not know"):
        await Caller({"url": vendor.url}).call("list_targets")


async def test_a_read_is_tried_again_and_a_silence_is_not(scripted: Scripted) -> None:
    def answering(asked: Asked) -> Answer:
        return (503, b"") if len(vendor.asked) < 3 or asked.method == "POST" else (200, b"[]")

    vendor = scripted(answering)
    prometheus = Caller({"url": vendor.url, "alertmanager_url": vendor.url})
    assert (await prometheus.call("list_silences"))["items"] == []
    assert len(vendor.asked) == 3
    vendor.asked.clear()
    with pytest.raises(ToolError) as caught:
        await prometheus.call("create_silence", matchers=["a=b"], duration="1h", comment="Because")
    assert caught.value.kind == "unavailable"
    assert len(vendor.asked) == 1
    assert json.loads(vendor.asked[0].body)["createdBy"] == "alice@acme.test"


async def test_a_silence_that_ends_while_it_is_being_ended_is_ended(scripted: Scripted) -> None:
    silence_id = "0b3e3c1c-5d2f-4f0e-9a55-0c8a7a1f2b3c"

    def answering(asked: Asked) -> Answer:
        if asked.method == "DELETE":
            return 500, b'"silence already expired"'
        state = "expired" if any(a.method == "DELETE" for a in vendor.asked) else "active"
        silence = {
            "id": silence_id,
            "status": {"state": state},
            "matchers": [{"name": "a", "value": "b", "isRegex": False}],
            "startsAt": "2026-01-01T00:00:00.000Z",
            "endsAt": "2026-01-01T01:00:00.000Z",
            "createdBy": "carol",
            "comment": "",
        }
        return 200, json.dumps(silence).encode()

    vendor = scripted(answering)
    prometheus = Caller({"url": vendor.url, "alertmanager_url": vendor.url})
    answer = await prometheus.call("expire_silence", id=silence_id)
    assert answer == {"id": silence_id, "already_expired": False, "created_by": "carol"}
    assert [a.method for a in vendor.asked] == ["GET", "DELETE", "GET"]


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(ToolError, match="cannot be reached") as caught:
        await Caller({"url": "http://127.0.0.1:1"}).call("query", query="up")
    assert caught.value.kind == "unavailable"
