"""The emulator's HTTP API of Prometheus: every address, its limits and pages, and the published contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from jsonschema import Draft202012Validator

from servers.prometheus.emulator import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW_S = 1_800_000_000.0
CONTRACT = Path(__file__).parents[4] / "shared" / "contracts" / "prometheus" / "openapi_3.1_golden.yaml"
SCHEMAS = {
    "/query": "QueryOutputBody",
    "/query_range": "QueryRangeOutputBody",
    "/query_exemplars": "QueryExemplarsOutputBody",
    "/format_query": "FormatQueryOutputBody",
    "/parse_query": "ParseQueryOutputBody",
    "/labels": "LabelsOutputBody",
    "/label/service/values": "LabelValuesOutputBody",
    "/series": "SeriesOutputBody",
    "/metadata": "MetadataOutputBody",
    "/targets": "TargetsOutputBody",
    "/rules": "RulesOutputBody",
    "/alerts": "AlertsOutputBody",
    "/status/tsdb": "StatusTSDBOutputBody",
    "/status/buildinfo": "StatusBuildInfoOutputBody",
    "/status/runtimeinfo": "StatusRuntimeInfoOutputBody",
    "/status/flags": "StatusFlagsOutputBody",
}
WINDOW = {"start": str(NOW_S - 600), "end": str(NOW_S)}
# A string's answer is left out: the document wants its time to be a string, and no Prometheus answers so.
ASKED: list[tuple[str, dict[str, str]]] = [
    ("/query", {"query": "up"}),
    ("/query", {"query": "up[1m]"}),
    ("/query", {"query": "1"}),
    ("/query", {"query": "up", "limit": "2"}),
    ("/query_range", {"query": "sum by (service) (queue_depth)", "step": "30", **WINDOW}),
    ("/query_exemplars", {"query": "http_request_duration_seconds_bucket", **WINDOW}),
    ("/format_query", {"query": "sum(up)by(job)"}),
    ("/parse_query", {"query": "sum by (job) (rate(x[5m])) > bool 1"}),
    ("/labels", {}),
    ("/labels", {"limit": "1"}),
    ("/label/service/values", {}),
    ("/series", {"match[]": "queue_depth"}),
    ("/metadata", {}),
    ("/targets", {}),
    ("/rules", {}),
    ("/rules", {"group_limit": "1"}),
    ("/alerts", {}),
    ("/status/tsdb", {}),
    ("/status/buildinfo", {}),
    ("/status/runtimeinfo", {}),
    ("/status/flags", {}),
]


async def client_of(version: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(version=version, clock=lambda: NOW_S) as emulator,
        httpx.AsyncClient(base_url=f"{emulator.url}/api/v1", trust_env=False) as client,
    ):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def newer() -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of("3.5.0"):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def older() -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of("2.42.0"):
        yield client


async def data(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.skipif(not CONTRACT.exists(), reason="the contract documents are not beside the checkout")
async def test_every_answer_keeps_the_published_contract(newer: httpx.AsyncClient) -> None:
    document = yaml.safe_load(CONTRACT.read_text())
    found = []
    for path, parameters in ASKED:
        answer = await newer.get(path, params=parameters)
        schema = {"$ref": f"#/components/schemas/{SCHEMAS[path]}", "components": document["components"]}
        found += [f"{path}: {e.message[:200]}" for e in Draft202012Validator(schema).iter_errors(answer.json())]
    for path in ("/query", "/query_range", "/series"):
        answer = await newer.get(path, params={"query": "up("})
        schema = {"$ref": "#/components/schemas/Error", "components": document["components"]}
        found += [f"{path}: {e.message[:200]}" for e in Draft202012Validator(schema).iter_errors(answer.json())]
    assert found == []


async def test_a_form_and_an_address_are_the_same_question(newer: httpx.AsyncClient) -> None:
    asked = {"query": "sum(up)", "time": "2027-01-15T07:59:00Z"}
    by_get = (await newer.get("/query", params=asked)).json()
    assert by_get == (await newer.post("/query", data=asked)).json()
    assert by_get["data"]["result"][0]["value"] == [NOW_S - 60, "9"]


async def test_a_limit_cuts_and_says_so_from_3_on(newer: httpx.AsyncClient, older: httpx.AsyncClient) -> None:
    for path, parameters in (
        ("/query", {"query": "up"}),
        ("/query_range", {"query": "up", "step": "60", **WINDOW}),
        ("/labels", {}),
        ("/label/service/values", {}),
        ("/series", {"match[]": "up"}),
    ):
        cut = (await newer.get(path, params={**parameters, "limit": "3"})).json()
        rows = cut["data"]["result"] if isinstance(cut["data"], dict) else cut["data"]
        assert len(rows) == 3, path
        assert cut["warnings"] == ["results truncated due to limit"]
        assert "warnings" not in (await newer.get(path, params={**parameters, "limit": "500"})).json()
        assert "warnings" not in (await older.get(path, params={**parameters, "limit": "3"})).json()


async def test_rules_come_in_pages_that_end(newer: httpx.AsyncClient) -> None:
    first = await data(newer, "/rules", group_limit=1)
    assert [g["name"] for g in first["groups"]] == ["services.recording"]
    last = await data(newer, "/rules", group_limit=1, group_next_token=first["groupNextToken"])
    assert [g["name"] for g in last["groups"]] == ["services.alerts"]
    assert "groupNextToken" not in last
    assert (await newer.get("/rules", params={"group_limit": 1, "group_next_token": "no"})).status_code == 400


async def test_rules_are_filtered(newer: httpx.AsyncClient) -> None:
    async def names(**parameters: Any) -> list[str]:
        groups = (await data(newer, "/rules", **parameters))["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    assert await names(**{"rule_name[]": ["HighLatency", "NoTraffic"]}) == ["HighLatency", "NoTraffic"]
    assert {n.split(":")[0] for n in await names(type="record")} == {"service"}
    assert await names(**{"match[]": '{severity="critical"}'}) == ["HighErrorRate", "TargetDown"]
    assert await names(**{"rule_group[]": "nothing"}) == []
    answer = await newer.get("/rules", params={"type": "foo"})
    assert answer.json()["error"] == 'invalid parameter "type": not supported value "foo"'


async def test_the_demo_company_has_one_alert_of_each_kind(newer: httpx.AsyncClient) -> None:
    alerts = (await data(newer, "/alerts"))["alerts"]
    assert sorted((a["labels"]["alertname"], a["labels"]["service"], a["state"]) for a in alerts) == [
        ("HighErrorRate", "checkout-api", "firing"),
        ("HighLatency", "search-api", "firing"),
        ("QueueGrowing", "payments-worker", "firing"),
        ("TargetDown", "shipping-worker", "firing"),
    ]
    assert all(a["annotations"]["runbook_url"].startswith("https://") for a in alerts)
    firing = (await data(newer, "/query", query='ALERTS{alertstate="firing"}'))["result"]
    assert len(firing) == 4


async def test_targets_tell_which_one_is_down(newer: httpx.AsyncClient) -> None:
    targets = (await data(newer, "/targets"))["activeTargets"]
    assert [t["labels"]["service"] for t in targets if t["health"] == "down"] == ["shipping-worker"]
    assert (await data(newer, "/targets", scrapePool="other"))["activeTargets"] == []
    assert (await data(newer, "/targets", state="dropped"))["activeTargets"] == []


async def test_exemplars_lie_within_their_bucket_and_window(newer: httpx.AsyncClient) -> None:
    query = 'rate(http_request_duration_seconds_bucket{service="search-api"}[5m])'
    found = await data(newer, "/query_exemplars", query=query, **WINDOW)
    assert found
    for series in found:
        assert series["seriesLabels"]["service"] == "search-api"
        for exemplar in series["exemplars"]:
            assert len(exemplar["labels"]["trace_id"]) == 32
            assert float(exemplar["value"]) <= float(series["seriesLabels"]["le"])
            assert NOW_S - 600 <= exemplar["timestamp"] <= NOW_S


async def test_a_query_can_be_parsed_from_3_on_only(newer: httpx.AsyncClient, older: httpx.AsyncClient) -> None:
    assert (await data(newer, "/parse_query", query="-x"))["type"] == "unaryExpr"
    answer = await older.get("/parse_query", params={"query": "-x"})
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


async def test_a_query_that_cannot_be_computed_says_why(newer: httpx.AsyncClient) -> None:
    answer = await newer.get("/query", params={"query": "up + on (job) up"})
    assert answer.status_code == 422
    assert answer.json()["errorType"] == "execution"
    assert "many-to-many matching not allowed" in answer.json()["error"]
    answer = await newer.get("/query", params={"query": "up[5m:1m]"})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        'invalid parameter "query": 1:6: parse error: subqueries are not supported by the emulator'
    )


async def test_metadata_is_cut_where_asked(newer: httpx.AsyncClient) -> None:
    assert list(await data(newer, "/metadata", metric="queue_depth")) == ["queue_depth"]
    assert len(await data(newer, "/metadata", limit=2)) == 2
    assert (await newer.get("/metadata", params={"limit": "x"})).json()["error"] == "limit must be a number"


async def test_history_is_there_from_the_first_moment(newer: httpx.AsyncClient) -> None:
    asked = {"query": "service:http_errors:ratio1m", "start": NOW_S - 3_000, "end": NOW_S, "step": 60}
    series = {s["metric"]["service"]: s["values"] for s in (await data(newer, "/query_range", **asked))["result"]}
    ratios = [float(value) for _, value in series["checkout-api"]]
    assert len(ratios) == 51
    assert max(ratios[:20]) < 0.05 < min(ratios[-20:])


async def test_many_questions_at_once_get_the_same_answer(newer: httpx.AsyncClient) -> None:
    asked = [
        newer.get("/query", params={"query": "sum by (service) (rate(http_requests_total[5m]))"}) for _ in range(20)
    ]
    answers = [answer.json() for answer in await asyncio.gather(*asked)]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["data"]["result"]) == 9
