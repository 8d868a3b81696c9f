"""The emulator answers what the real Prometheus answers, over the same samples."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from servers.prometheus.emulator import running
from servers.prometheus.emulator.company import company
from servers.prometheus.emulator.exposition import history
from servers.prometheus.emulator.process import free_port, program
from servers.prometheus.emulator.services import BUILT_IN
from servers.prometheus.emulator.source import Target

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
pytestmark = [
    pytest.mark.skipif(PROMETHEUS is None or PROMTOOL is None, reason="prometheus is not installed"),
    pytest.mark.asyncio(loop_scope="module"),
]

FAULTS = {"checkout-api": "errors", "search-api": "latency", "payments-worker": "queue"}
HISTORY_S = 1_800
STEP_S = 15

QUERIES = (
    "up",
    "1",
    "-1.5e3",
    "0x1F",
    "Inf",
    "time()",
    '"text"',
    "vector(3)",
    "pi()",
    "up == 0",
    "up == bool 0",
    "1 == bool 1",
    "2 ^ 3 ^ 2",
    "-2 ^ 2",
    "7 % 3 - 10 / 4",
    "1 / 0",
    "0 / 0",
    "-1 % 0",
    '{service="checkout-api", __name__=~"process_.+"}',
    'http_requests_total{service="cart-api"}',
    'http_requests_total{service!~".*-(api|worker)"}',
    'http_requests_total{service="cart-api", code=~"4..|5.."} offset 5m',
    'http_requests_total{service="cart-api"} offset -1m',
    'queue_depth{queue="payments"}[2m]',
    "rate(http_requests_total[5m])",
    "rate(http_requests_total[61s])",
    "rate(http_requests_total[37s] offset 1m)",
    "irate(http_requests_total[2m])",
    "increase(http_requests_total[10m])",
    "delta(queue_depth[5m])",
    "idelta(queue_depth[5m])",
    "deriv(queue_depth[5m])",
    "predict_linear(queue_depth[5m], 600)",
    "changes(queue_depth[5m])",
    "resets(queue_depth[10m])",
    "avg_over_time(queue_depth[3m])",
    "min_over_time(queue_depth[3m])",
    "max_over_time(queue_depth[3m])",
    "sum_over_time(queue_depth[3m])",
    "count_over_time(queue_depth[3m])",
    "last_over_time(queue_depth[3m])",
    "stddev_over_time(queue_depth[3m])",
    "quantile_over_time(0.9, queue_depth[3m])",
    "present_over_time(queue_depth[3m])",
    "absent_over_time(nothing{a='b'}[3m])",
    "sum(rate(http_requests_total[5m]))",
    "sum by (service, code) (rate(http_requests_total[5m]))",
    "sum without (instance, job, route) (rate(http_requests_total[5m]))",
    "avg by (team) (process_resident_memory_bytes)",
    "min(process_resident_memory_bytes)",
    "max by (tier) (process_resident_memory_bytes)",
    "count by (system) (up)",
    "group by (team) (up)",
    "stddev(process_resident_memory_bytes)",
    "stdvar by (tier) (queue_depth)",
    "topk(3, process_resident_memory_bytes)",
    "bottomk by (team) (1, process_resident_memory_bytes)",
    "topk(0, up)",
    "quantile(0.75, process_resident_memory_bytes)",
    "quantile by (team) (2, process_resident_memory_bytes)",
    "histogram_quantile(0.95, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.5, rate(http_request_duration_seconds_bucket[5m]))",
    "histogram_quantile(1.5, http_request_duration_seconds_bucket)",
    "histogram_quantile(0.9, http_request_duration_seconds_bucket{le!='+Inf'})",
    "http_request_duration_seconds_sum / http_request_duration_seconds_count",
    "sum by (service) (http_requests_total) / on (service) group_left (team) up",
    "up * on (service) group_right () queue_depth",
    "process_resident_memory_bytes / 2 ^ 20 > 200",
    "200 < process_resident_memory_bytes / 2 ^ 20",
    "process_resident_memory_bytes > bool 2e8",
    "queue_depth > ignoring (queue) up",
    "sum by (service) (queue_depth) >= on (service) sum by (service) (up)",
    "up and on (service) queue_depth",
    "up unless on (service) queue_depth",
    "queue_depth > 1000 or up == 0",
    "queue_depth{queue='payments'} or ignoring (queue) up",
    "-queue_depth",
    "abs(-queue_depth)",
    "ceil(queue_depth / 7)",
    "floor(queue_depth / 7)",
    "round(queue_depth / 7)",
    "round(queue_depth / 7, 0.25)",
    "sqrt(queue_depth)",
    "ln(queue_depth - queue_depth)",
    "log2(queue_depth)",
    "log10(queue_depth)",
    "exp(up)",
    "sgn(-queue_depth)",
    "clamp(queue_depth, 20, 1000)",
    "clamp(queue_depth, 2, 1)",
    "clamp_min(queue_depth, 100)",
    "clamp_max(queue_depth, 100)",
    "scalar(queue_depth{queue='payments'}) + 1",
    "scalar(queue_depth)",
    "timestamp(queue_depth)",
    "timestamp(queue_depth + 1)",
    "hour()",
    "minute(process_start_time_seconds)",
    "day_of_week(process_start_time_seconds)",
    "absent(nothing{a='b', c=~'d'})",
    "absent(up)",
    "absent(sum(nothing))",
    "sort(process_resident_memory_bytes)",
    "sort_desc(queue_depth)",
    "label_replace(up, 'kind', '$2-of-$1', 'service', '(.*)-(api|worker)')",
    "label_replace(up, 'team', '', 'service', '.*')",
    "label_replace(up, 'x', 'none', 'service', 'nobody')",
    "count(count by (service) (http_requests_total))",
    "sum(increase(http_requests_total{code=~'5..'}[10m])) / sum(increase(http_requests_total[10m])) * 100",
    "avg_over_time(up{service='shipping-worker'}[30m])",
    "http_requests_total{service='shipping-worker'}",
    "vector(1) atan2 vector(2)",
    "# a comment\nup # and another",
)

FAULTY = (
    "",
    "sum(",
    "foo{",
    "rate(foo)",
    "foo bar",
    "1 +",
    'foo{a="b"',
    "foo{a=}",
    "foo{a=b}",
    "{}",
    '{a=~".*"}',
    'foo{__name__="x"}',
    "nope(1)",
    "abs(1)",
    "abs()",
    "abs(a, b)",
    "round()",
    "sum(1)",
    "topk(a)",
    "topk(a, b)",
    "1 > 2",
    "a and 1",
    "a + on (x) 1",
    'a{b=~"("}',
    "(a)[5m]",
    "(a) offset 5m",
    '"abc',
    "a[5m",
    "a[5]",
    "a[0s]",
    "a + bool b",
    ")",
    "sum(a))",
    "sum by (a b) (c)",
    "sum(a) by",
    '-"a"',
    "-a[5m]",
    "a[5m] + 1",
    "a == on (x) group_left (x) b",
    "a and on (x) group_left () b",
    "1 $ 2",
    "a = b",
    "!a",
    "a offset",
    "a\n +\n *b",
    "a{,}",
    "up + on (job) up",
    "up * on (team) group_left queue_depth",
    "label_replace(up, '0x', 'b', 'c', 'd')",
    "label_replace(up, 'service', 'same', 'service', '.*') + 0 * label_replace(up, 'service', 'same', 'instance', '.*')",
    "abs(label_replace(queue_depth, 'instance', '', 'instance', '.*')) or up + on () up",
)

FORMATTED = (
    "sum by(a)(rate(x[300s]))  /  on()group_left(b)   (y)",
    "topk( 3 , x{b='c',a!=\"d\\n\"} offset 90m )",
    "-x ^ +2 == bool 1e3",
    "sum without() (x) or ignoring(a) y unless z",
    "histogram_quantile(0.95, sum by (le, service, team, system, tier) (rate(http_request_duration_seconds_bucket{code!~'5..'}[1m])))",
    "sum by (service) (rate(http_requests_total{code=~'5..', route='/v1/x'}[5m])) / (sum by (service) (rate(http_requests_total[5m]))) > 0.05",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two Prometheus servers, and the moment at which both have the same past."""

    real: httpx.AsyncClient
    emulated: httpx.AsyncClient
    now_s: float

    async def both(self, path: str, **parameters: Any) -> tuple[httpx.Response, httpx.Response]:
        one, other = await asyncio.gather(
            self.real.post(path, data=parameters), self.emulated.post(path, data=parameters)
        )
        return one, other


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    now_s = time.time() // STEP_S * STEP_S - 60
    folder = tmp_path_factory.mktemp("prometheus")
    # No target is down: a backfill has no stale markers, so the real one would go on showing its last samples.
    targets = company(BUILT_IN, started_s=now_s, faults=FAULTS)
    await _past(folder, targets, now_s)
    url = f"http://127.0.0.1:{free_port()}"
    command = (
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    )
    async with (
        program(command, folder=folder, log=folder / "log", ready_url=f"{url}/-/ready", ready_s=30),
        running(
            targets, rules="groups: []", version="2.42.0", clock=lambda: now_s, interval_s=STEP_S, history_s=HISTORY_S
        ) as emulator,
        httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=30) as real,
        httpx.AsyncClient(base_url=f"{emulator.url}/api/v1", trust_env=False, timeout=30) as emulated,
    ):
        yield Pair(real, emulated, now_s)


async def _past(folder: Path, targets: Sequence[Target], now_s: float) -> None:
    """Give the real Prometheus the samples that the emulator has."""
    times = [now_s - HISTORY_S + STEP_S * i for i in range(HISTORY_S // STEP_S + 1)]
    text = folder / "history.om"
    with text.open("w") as out:
        out.writelines(history(targets, times))
    command = (str(PROMTOOL), "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(folder / "tsdb"))
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    (folder / "prometheus.yml").write_text("global: {}\n")


def _points(answer: dict[str, Any]) -> dict[Any, float]:
    """Return every value of an answer by labels and time."""
    data = answer["data"]
    if data["resultType"] in {"scalar", "string"}:
        return {data["resultType"]: data["result"][1] if data["resultType"] == "string" else float(data["result"][1])}
    return {
        (frozenset(series["metric"].items()), time_s): float(value)
        for series in data["result"]
        for time_s, value in (series["values"] if "values" in series else [series["value"]])
    }


def _differences(query: str, one: httpx.Response, other: httpx.Response) -> list[str]:
    if one.status_code != 200 or other.status_code != 200:
        return [f"{query}: {one.text[:300]} | {other.text[:300]}"]
    if one.json()["data"]["resultType"] != other.json()["data"]["resultType"]:
        return [f"{query}: another type"]
    real, emulated = _points(one.json()), _points(other.json())
    if real.keys() != emulated.keys():
        return [f"{query}: series differ by {sorted(map(str, real.keys() ^ emulated.keys()))[:2]}"]
    return [
        f"{query}: {key} is {emulated[key]}, want {value}"
        for key, value in real.items()
        if not _same(value, emulated[key])
    ][:2]


def _same(one: float, other: float) -> bool:
    if isinstance(one, str) or math.isnan(one):
        return one == other or (not isinstance(one, str) and math.isnan(other))
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


async def test_instant_queries_have_the_same_answers(pair: Pair) -> None:
    found = []
    for query in QUERIES:
        for at in (pair.now_s, pair.now_s - 1_233.5):
            found += _differences(query, *await pair.both("/query", query=query, time=at))
    assert found == []


async def test_range_queries_have_the_same_answers(pair: Pair) -> None:
    found = []
    for query in QUERIES:
        if query.endswith("]") or query.startswith('"'):
            continue
        answers = await pair.both("/query_range", query=query, start=pair.now_s - 1_500, end=pair.now_s, step="47s")
        found += _differences(query, *answers)
    assert found == []


async def test_sorted_answers_come_in_the_same_order(pair: Pair) -> None:
    for query in ("sort(queue_depth)", "sort_desc(process_resident_memory_bytes)", "topk(3, queue_depth)"):
        one, other = await pair.both("/query", query=query, time=pair.now_s)
        names = [[s["metric"]["service"] for s in answer.json()["data"]["result"]] for answer in (one, other)]
        assert names[0] == names[1], query


async def test_faulty_queries_fail_in_the_same_way_at_the_same_place(pair: Pair) -> None:
    found = []
    for query in FAULTY:
        one, other = await pair.both("/query", query=query, time=pair.now_s)
        places = [_place(answer) for answer in (one, other)]
        if places[0] != places[1]:
            found.append(f"{query!r}: {one.text.strip()} | {other.text.strip()}")
    assert found == []


def _place(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    return answer.status_code, told.get("errorType", ""), told.get("error", "").split(": parse error")[0][:60]


async def test_queries_are_laid_out_in_the_same_way(pair: Pair) -> None:
    for query in FORMATTED:
        one, other = await pair.both("/format_query", query=query)
        assert one.json()["data"] == other.json()["data"]


async def test_label_and_series_listings_are_the_same(pair: Pair) -> None:
    window = {"start": pair.now_s - 600, "end": pair.now_s}
    for path, parameters in (
        ("/labels", {"match[]": ["queue_depth", "up"]}),
        ("/series", {"match[]": ['http_requests_total{service="cart-api"}', "queue_depth"]}),
    ):
        one, other = await pair.both(path, **window, **parameters)
        assert _sorted(one.json()["data"]) == _sorted(other.json()["data"])
    for label in ("service", "code", "nothing"):
        answers = [
            await client.get(f"/label/{label}/values", params={**window, "match[]": "http_requests_total"})
            for client in (pair.real, pair.emulated)
        ]
        assert answers[0].json()["data"] == answers[1].json()["data"]


def _sorted(found: list[Any]) -> list[str]:
    return sorted(str(sorted(entry.items())) if isinstance(entry, dict) else entry for entry in found)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/query", {"query": "up", "time": "x"}),
        ("/query", {"query": "up", "timeout": "x"}),
        ("/query_range", {"query": "up"}),
        ("/query_range", {"query": "up", "start": "1", "end": "0", "step": "1"}),
        ("/query_range", {"query": "up", "start": "1", "end": "2", "step": "0"}),
        ("/query_range", {"query": "up", "start": "1", "end": "20000", "step": "1"}),
        ("/query_range", {"query": "up[5m]", "start": "1", "end": "2", "step": "1"}),
        ("/series", {}),
        ("/series", {"match[]": '{a=""}'}),
        ("/query_exemplars", {"query": "up", "start": "2", "end": "1"}),
    ],
)
async def test_bad_parameters_are_refused_in_the_same_words(pair: Pair, path: str, parameters: dict[str, str]) -> None:
    one, other = await pair.both(path, **parameters)
    assert (one.status_code, one.json()) == (other.status_code, other.json())
