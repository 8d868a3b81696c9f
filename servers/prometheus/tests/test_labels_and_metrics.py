"""Finding metrics, labels and series in a real Prometheus."""

from __future__ import annotations

from typing import Any

import pytest

from servers._kit.testing import ToolError
from servers.prometheus.tests.conftest import Caller


async def all_items(connection: Caller, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page = None
    while True:
        answer = await connection.call(tool, page=page, **arguments)
        items += answer["items"]
        page = answer["next_page"]
        if page is None:
            assert answer["total"] == len(items)
            return items


async def test_metrics_are_listed_with_what_exporters_say_about_them(prometheus: Caller) -> None:
    found = await all_items(prometheus, "list_metrics", contains="DEMO_", limit=3)
    by_name = {m["name"]: m for m in found}
    assert by_name["demo_queue_depth"] == {
        "name": "demo_queue_depth",
        "type": "gauge",
        "help": "Waiting messages.",
        "unit": None,
    }
    assert by_name["demo_requests_total"]["type"] == "counter"
    assert by_name["demo_latency_seconds_bucket"]["type"] == "histogram"
    assert by_name["demo_latency_seconds_bucket"]["unit"] == "seconds"
    assert by_name["demo_odd"]["help"] is None
    assert list(by_name) == sorted(by_name)


async def test_metrics_can_be_those_of_some_series_only(prometheus: Caller) -> None:
    found = await all_items(prometheus, "list_metrics", match='{queue="mail"}')
    names = {m["name"] for m in found}
    assert "demo_queue_depth" in names
    assert "demo_requests_total" not in names


async def test_a_selector_that_does_not_parse_is_refused(prometheus: Caller) -> None:
    with pytest.raises(ToolError, match="parse error") as caught:
        await prometheus.call("list_metrics", match='{queue="mail"')
    assert caught.value.kind == "invalid"


async def test_metadata_of_one_metric(prometheus: Caller) -> None:
    answer = await prometheus.call("get_metric_metadata", metric="demo_latency_seconds")
    assert answer["items"] == [
        {"metric": "demo_latency_seconds", "type": "histogram", "help": "Time to answer.", "unit": "seconds"}
    ]
    assert (await prometheus.call("get_metric_metadata", metric="never_heard"))["items"] == []


async def test_label_names_and_values_of_a_metric(prometheus: Caller) -> None:
    names = await all_items(prometheus, "list_label_names", match=["demo_requests_total"], limit=2)
    assert [n["name"] for n in names] == ["__name__", "code", "instance", "job", "service"]
    values = await all_items(prometheus, "list_label_values", label="code", match=['{service="api"}'])
    assert [v["value"] for v in values] == ["200", "500"]
    some = await prometheus.call("list_label_values", label="queue", contains="MAI")
    assert [v["value"] for v in some["items"]] == ["mail"]


async def test_a_label_name_cannot_leave_its_place_in_the_address(prometheus: Caller) -> None:
    for label in ("../../-/quit", "..", "a/b?c=d", "job/values?limit=1"):
        assert (await prometheus.call("list_label_values", label=label))["items"] == []


async def test_series_are_found_and_paged(prometheus: Caller) -> None:
    found = await all_items(prometheus, "find_series", match=["demo_requests_total", "demo_odd"], limit=2)
    assert {(s["labels"]["__name__"], s["labels"].get("code")) for s in found} == {
        ("demo_requests_total", "200"),
        ("demo_requests_total", "500"),
        ("demo_odd", None),
    }
    assert len(found) == 5


async def test_a_page_token_that_was_never_given_is_refused(prometheus: Caller) -> None:
    for tool, arguments in (("find_series", {"match": ["up"]}), ("list_rules", {}), ("list_alerts", {})):
        with pytest.raises(ToolError, match="page is not a token") as caught:
            await prometheus.call(tool, page="٣", **arguments)
        assert caught.value.kind == "invalid"


async def test_cardinality_names_what_fills_the_database(prometheus: Caller) -> None:
    answer = await prometheus.call("get_cardinality", limit=3)
    assert answer["series"] >= 15
    assert "demo_latency_seconds_bucket" in [e["name"] for e in answer["series_by_metric"]]
    assert [e["count"] for e in answer["series_by_metric"]] == sorted(
        (e["count"] for e in answer["series_by_metric"]), reverse=True
    )
    assert len(answer["values_by_label"]) == 3
    assert answer["oldest"] < answer["newest"]


async def test_the_server_tells_what_it_is(prometheus: Caller) -> None:
    answer = await prometheus.call("get_server_info")
    assert answer["version"][0].isdigit()
    assert answer["config_ok"] is True
    assert answer["retention"]
    assert answer["alertmanager_version"][0].isdigit()
    assert answer["alertmanager_cluster"] == "disabled"
