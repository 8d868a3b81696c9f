"""The query tools against a real Prometheus."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from servers._kit.testing import ToolError
from servers.prometheus.tests.conftest import Caller


async def test_an_instant_query_gives_the_values_with_their_labels(prometheus: Caller) -> None:
    answer = await prometheus.call("query", query='demo_queue_depth{queue="mail"}')
    assert answer["kind"] == "vector"
    assert not answer["truncated"]
    [sample] = answer["samples"]
    assert sample["value"] == 42
    assert sample["raw"] is None
    assert sample["labels"]["queue"] == "mail"
    assert datetime.fromisoformat(sample["time"]).utcoffset() is not None


async def test_more_samples_than_the_limit_are_cut_and_said_to_be(prometheus: Caller) -> None:
    answer = await prometheus.call("query", query="demo_queue_depth", limit=2)
    assert len(answer["samples"]) == 2
    assert answer["truncated"]
    assert not (await prometheus.call("query", query="demo_queue_depth", limit=3))["truncated"]


async def test_a_number_that_json_cannot_hold_is_null_with_its_name_beside(prometheus: Caller) -> None:
    answer = await prometheus.call("query", query="demo_odd")
    found = {s["labels"]["kind"]: (s["value"], s["raw"]) for s in answer["samples"]}
    assert found == {"nan": (None, "NaN"), "inf": (None, "+Inf")}


async def test_scalars_strings_and_range_selectors_are_answered_too(prometheus: Caller) -> None:
    scalar = await prometheus.call("query", query="1 / 4")
    assert (scalar["kind"], scalar["samples"][0]["value"]) == ("scalar", 0.25)
    text = await prometheus.call("query", query='"hello"')
    assert (text["kind"], text["samples"][0]["raw"], text["samples"][0]["value"]) == ("string", "hello", None)
    matrix = await prometheus.call("query", query='demo_queue_depth{queue="mail"}[1m]')
    assert matrix["kind"] == "matrix"
    assert len(matrix["samples"]) >= 4
    assert {s["value"] for s in matrix["samples"]} == {42}


async def test_a_query_at_a_moment_is_evaluated_then(prometheus: Caller) -> None:
    for moment in ("1970-01-01T00:16:40Z", 1000, "1000"):
        answer = await prometheus.call("query", query="time()", time=moment)
        assert answer["samples"][0]["value"] == 1000
    earlier = await prometheus.call("query", query="time()", time="-1h")
    assert earlier["samples"][0]["value"] == pytest.approx(time.time() - 3600, abs=30)


async def test_a_wrong_expression_is_answered_with_the_words_of_prometheus(prometheus: Caller) -> None:
    with pytest.raises(ToolError, match="parse error") as caught:
        await prometheus.call("query", query="sum(rate(demo_requests_total[5m])")
    assert caught.value.kind == "invalid"
    with pytest.raises(ToolError, match="many-to-many") as caught:
        await prometheus.call("query", query="demo_queue_depth + on(job) demo_queue_depth")
    assert caught.value.kind == "invalid"


async def test_a_range_query_chooses_its_step_and_summarises_each_series(prometheus: Caller) -> None:
    answer = await prometheus.call(
        "query_range", query="vector(time() - time() + 3)", start=1000, end=4600, max_points=10
    )
    assert answer["step_s"] == answer["evaluated_step_s"] == 600
    assert len(answer["times"]) == 7
    [series] = answer["series"]
    assert series["values"] == [3] * 7
    assert (series["min"], series["max"], series["avg"], series["last"], series["count"]) == (3, 3, 3, 3, 7)


async def test_a_fine_step_is_thinned_and_its_statistics_keep_every_point(prometheus: Caller) -> None:
    # A peak of 500 at second 1500 only, between the values that are shown.
    query = "500 - abs(vector(time() - 1501))"
    answer = await prometheus.call("query_range", query=query, start=1000, end=2000, step="1s", max_points=11)
    assert answer["evaluated_step_s"] == 1
    assert len(answer["times"]) <= 11
    [series] = answer["series"]
    assert series["count"] == 1001
    assert series["max"] == 500
    assert datetime.fromisoformat(series["max_time"]).timestamp() == 1501
    assert 500 not in series["values"]
    assert datetime.fromisoformat(answer["times"][-1]).timestamp() == 2000
    assert series["values"][-1] == series["last"] == 1
    expected = [500 - abs(datetime.fromisoformat(moment).timestamp() - 1501) for moment in answer["times"]]
    assert series["values"] == expected


async def test_gaps_and_infinite_points_of_a_series_are_null_and_named(prometheus: Caller) -> None:
    query = "(vector(time()) < 1020) / (vector(time()) - 1010)"
    answer = await prometheus.call("query_range", query=query, start=1000, end=1030, step="10s")
    [series] = answer["series"]
    assert series["values"] == [-100, None, None, None]
    assert series["not_finite"] == [{"index": 1, "raw": "+Inf"}]
    assert (series["count"], series["last"]) == (1, -100)


async def test_a_range_query_limits_its_series(prometheus: Caller) -> None:
    answer = await prometheus.call("query_range", query="demo_queue_depth", start="-1m", limit=1)
    assert len(answer["series"]) == 1
    assert answer["truncated"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"start": "now", "end": "-1h"}, "start: must not be after end"),
        ({"start": "yesterday"}, "start: .* is not a time"),
        ({"step": "five"}, "step: .* is not a duration"),
        ({"start": "-30d", "step": "1s"}, "points per series .* at least 236s"),
    ],
)
async def test_a_range_that_cannot_be_is_refused_before_it_is_sent(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(ToolError, match=said) as caught:
        await Caller({}).call("query_range", query="up", **arguments)
    assert caught.value.kind == "invalid"


async def test_one_bad_query_of_a_batch_leaves_the_others(prometheus: Caller) -> None:
    queries = ["vector(1)", "sum(", "vector(2)"]
    answer = await prometheus.call("query_batch", queries=queries, time=5000)
    assert [a["query"] for a in answer] == queries
    assert [a["samples"][0]["value"] if a["samples"] else None for a in answer] == [1, None, 2]
    assert [a["error"] and a["error"]["kind"] for a in answer] == [None, "invalid", None]
    assert "parse error" in answer[1]["error"]["message"]
    assert answer[0]["samples"][0]["time"] == answer[2]["samples"][0]["time"]


async def test_a_batch_has_at_most_ten_queries() -> None:
    with pytest.raises(ToolError, match="queries"):
        await Caller({}).call("query_batch", queries=["up"] * 11)


async def test_windows_are_compared_by_delta_and_ratio(prometheus: Caller) -> None:
    answer = await prometheus.call(
        "compare_windows", query="vector(time()) # now", window="10s", offset="1000s", time=2000, aggregate="last"
    )
    assert answer["items"] == [
        {"labels": {}, "status": "both", "current": 2000, "before": 1000, "delta": 1000, "ratio": 2}
    ]


async def test_a_series_that_is_new_since_the_earlier_window_is_named_so(prometheus: Caller) -> None:
    answer = await prometheus.call("compare_windows", query="demo_queue_depth", window="30s", offset="7d")
    assert [(c["labels"]["queue"], c["status"], c["current"]) for c in answer["items"]] == [
        ("mail", "new", 42),
        ("jobs", "new", 12),
        ("idle", "new", 0),
    ]
    assert answer["total"] == 3
    gone = await prometheus.call(
        "compare_windows", query="vector(time()) < 1500", window="10s", offset="1000s", time=2000
    )
    assert [(c["status"], c["current"], c["delta"], c["ratio"]) for c in gone["items"]] == [("gone", None, None, None)]


async def test_a_comparison_too_large_for_a_number_is_null(prometheus: Caller) -> None:
    query = "1e308 * (2 * (vector(time()) > bool 1500) - 1)"
    answer = await prometheus.call("compare_windows", query=query, window="1s", offset="1000s", time=2000)
    [comparison] = answer["items"]
    assert (comparison["status"], comparison["delta"], comparison["ratio"]) == ("both", None, -1)


async def test_quantiles_of_a_classic_histogram_come_per_group(prometheus: Caller) -> None:
    answer = await prometheus.call(
        "query_histogram_quantile",
        metric="demo_latency_seconds",
        quantiles=[0.5, 0.9],
        by=["service"],
        window="1m",
    )
    assert answer["kind"] == "classic"
    found = {(v["labels"]["service"], v["quantile"]): v["value"] for v in answer["values"]}
    assert found == {
        ("api", 0.5): pytest.approx(0.1, rel=0.01),
        ("api", 0.9): pytest.approx(1.0, rel=0.01),
        ("web", 0.5): pytest.approx(0.05, rel=0.01),
        ("web", 0.9): pytest.approx(0.09, rel=0.01),
    }
    only_web = await prometheus.call(
        "query_histogram_quantile", metric="demo_latency_seconds_bucket", matchers=['service=~"w.b"'], window="1m"
    )
    assert [round(v["value"], 3) for v in only_web["values"]] == [0.05, 0.095, 0.099]


async def test_a_histogram_that_is_not_there_is_not_found(prometheus: Caller) -> None:
    with pytest.raises(ToolError, match="no histogram") as caught:
        await prometheus.call("query_histogram_quantile", metric='x"} or vector(1) #')
    assert caught.value.kind == "not_found"


async def test_exemplars_lead_to_traces(prometheus: Caller) -> None:
    answer = await prometheus.call("query_exemplars", query="demo_latency_seconds_bucket", start="-5m", end="now")
    [series] = answer["items"]
    assert series["labels"]["service"] == "api"
    assert series["exemplars"][0]["trace_id"] == "abc123"
    assert series["exemplars"][0]["value"] == 0.7


async def test_a_query_is_formatted_or_its_error_located(prometheus: Caller) -> None:
    answer = await prometheus.call("format_query", query="sum by(job)(up)")
    assert answer == {"query": "sum by(job)(up)", "formatted": "sum by (job) (up)"}
    with pytest.raises(ToolError, match="parse error") as caught:
        await prometheus.call("format_query", query="sum by")
    assert caught.value.kind == "invalid"


async def test_an_expression_is_taken_apart_where_prometheus_can(prometheus: Caller) -> None:
    query = 'sum by (job) (rate(demo_requests_total{code=~"5.."}[5m] offset 1m)) / 2 > 0.1'
    if (await prometheus.call("get_server_info"))["version"].startswith("2."):
        with pytest.raises(ToolError, match="use format_query"):
            await prometheus.call("parse_query", query=query)
        return
    answer = await prometheus.call("parse_query", query=query)
    assert answer["selectors"] == [
        {"metric": "demo_requests_total", "matchers": ['code=~"5.."'], "range_s": 300, "offset_s": 60}
    ]
    assert (answer["functions"], answer["aggregations"]) == (["rate"], ["sum by (job)"])
    assert answer["operators"] == [">", "/"]
    with pytest.raises(ToolError, match="parse error") as caught:
        await prometheus.call("parse_query", query="sum(")
    assert caught.value.kind == "invalid"
