"""Every tool of the server works on the emulator, as it does on the real vendors."""

from __future__ import annotations

from typing import Any

import pytest

from servers._kit.testing import connected
from servers.prometheus.emulator import running
from servers.prometheus.server import create

CALLS: dict[str, dict[str, Any]] = {
    "query": {"query": "sum by (service) (rate(http_requests_total[5m]))"},
    "query_range": {"query": "queue_depth", "start": "-30m", "end": "now"},
    "query_batch": {"queries": ["up", "up(", "up[5m:1m]"]},
    "compare_windows": {"query": "sum by (service) (rate(http_requests_total[5m]))"},
    "query_histogram_quantile": {"metric": "http_request_duration_seconds", "by": ["service"]},
    "query_exemplars": {"query": "http_request_duration_seconds_bucket", "start": "-5m", "end": "now"},
    "list_metrics": {},
    "get_metric_metadata": {},
    "list_label_names": {},
    "list_label_values": {"label": "service"},
    "find_series": {"match": ["queue_depth"]},
    "get_cardinality": {},
    "parse_query": {"query": "sum by (job) (rate(x[5m])) > 1"},
    "format_query": {"query": "sum(up)by(job)"},
    "list_targets": {},
    "list_rules": {},
    "list_alerts": {},
    "explain_alert": {"alert": "HighErrorRate"},
    "get_server_info": {},
    "list_alert_groups": {},
    "list_silences": {},
}


async def test_every_reading_tool_answers() -> None:
    async with (
        running() as emulator,
        connected(create({"url": emulator.url, "alertmanager_url": emulator.alertmanager_url})) as server,
    ):
        reading = {t.name for t in await server.tools() if t.annotations and t.annotations.read_only_hint}
        assert reading == CALLS.keys()
        answers = {name: await server.call(name, **arguments) for name, arguments in CALLS.items()}
    for name, answer in answers.items():
        assert answer, name


async def test_a_silence_made_by_a_tool_silences_and_can_be_ended() -> None:
    async with (
        running() as emulator,
        connected(create({"url": emulator.url, "alertmanager_url": emulator.alertmanager_url})) as server,
    ):
        made = await server.call(
            "create_silence", matchers=['service="checkout-api"'], duration="1h", comment="deploying a fix"
        )
        assert {a["state"] for a in await _alerts(server)} == {"active", "suppressed"}
        await server.call("expire_silence", id=made["id"])
        assert {a["state"] for a in await _alerts(server)} == {"active"}


async def _alerts(server: Any) -> list[dict[str, Any]]:
    groups = await server.call("list_alert_groups")
    return [alert for group in (groups["items"] if isinstance(groups, dict) else groups) for alert in group["alerts"]]


@pytest.mark.parametrize("version", ["2.42.0", "3.5.0"])
async def test_a_query_that_does_not_parse_is_answered_with_the_place(version: str) -> None:
    async with (
        running(version=version, history_s=60) as emulator,
        connected(create({"url": emulator.url})) as server,
    ):
        [answer] = await _batch(server, "sum(up")
        assert "1:7" in str(answer)


async def _batch(server: Any, query: str) -> list[Any]:
    answers = await server.call("query_batch", queries=[query])
    return list(answers["items"] if isinstance(answers, dict) else answers)
