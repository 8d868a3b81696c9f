"""Targets, rules, alerts and silences with a real Prometheus and Alertmanager."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from servers._kit.testing import ToolError
from servers.prometheus.tests.conftest import Caller, Stack
from shared_auth.principal import Principal

# Nothing listens there: a request that is sent fails as unavailable, not as invalid.
NOBODY = Caller({"url": "http://127.0.0.1:1", "alertmanager_url": "http://127.0.0.1:1"})
BOB = Principal(issuer="http://issuer.test", subject="bob", client_id="test")


async def test_failing_targets_come_first_and_everything_is_counted(prometheus: Caller) -> None:
    answer = await prometheus.call("list_targets", state="any")
    assert (answer["up"], answer["down"], answer["unknown"]) == (1, 1, 0)
    assert answer["pools"][:2] == ["broken", "demo"]
    broken, demo, *dropped = answer["targets"]["items"]
    assert (broken["pool"], broken["health"]) == ("broken", "down")
    assert broken["last_error"]
    assert (demo["health"], demo["last_error"]) == ("up", None)
    assert demo["interval_s"] in {2, 1}  # the real one, the emulator
    # The emulator has no relabelling, so it drops nothing.
    assert answer["dropped"] == len(dropped)
    for gone in dropped:
        assert (gone["health"], gone["url"]) == ("dropped", "gone.test:80")
        assert gone["labels"] == {"job": "gone", "site": "old"}


async def test_a_secret_in_a_scrape_address_is_not_shown(prometheus: Caller) -> None:
    answer = await prometheus.call("list_targets", pool="broken")
    assert answer["targets"]["total"] == 1
    assert "hunter2" not in str(answer)


async def test_only_unhealthy_targets_when_asked_for(prometheus: Caller) -> None:
    answer = await prometheus.call("list_targets", unhealthy_only=True)
    assert [t["pool"] for t in answer["targets"]["items"]] == ["broken"]
    assert answer["up"] == 1


async def test_rules_are_paged_in_their_order(prometheus: Caller) -> None:
    names: list[str] = []
    page = None
    while True:
        answer = await prometheus.call("list_rules", limit=2, page=page)
        names += [r["name"] for r in answer["items"]]
        assert len(answer["items"]) <= 2
        page = answer["next_page"]
        assert answer["truncated"] == (page is not None)
        if page is None:
            break
    assert names == [
        "queue:depth:max",
        "QueueGrowing",
        "QueueGrowing",
        "QueueSlow",
        "QueueFull",
        "queue:broken",
    ]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"type": "recording"}, ["queue:depth:max", "queue:broken"]),
        ({"name": "QueueSlow"}, ["QueueSlow"]),
        ({"group": "quiet"}, ["QueueFull", "queue:broken"]),
        ({"state": "firing"}, ["QueueGrowing", "QueueGrowing"]),
        ({"state": "pending"}, ["QueueSlow"]),
        ({"name": "NoSuchRule"}, []),
    ],
)
async def test_rules_are_filtered(prometheus: Caller, filters: dict[str, str], names: list[str]) -> None:
    answer = await prometheus.call("list_rules", **filters)
    assert [r["name"] for r in answer["items"]] == names
    assert answer["total"] == len(names)


async def test_a_broken_rule_shows_its_error(prometheus: Caller) -> None:
    [rule] = (await prometheus.call("list_rules", name="queue:broken"))["items"]
    assert rule["health"] == "err"
    assert "many-to-many" in rule["last_error"]
    assert (rule["type"], rule["state"], rule["for_s"]) == ("recording", None, None)


async def test_alerts_are_listed_firing_first(prometheus: Caller) -> None:
    answer = await prometheus.call("list_alerts")
    states = [a["state"] for a in answer["items"]]
    assert states == ["firing"] * 3 + ["pending"] * 2
    assert answer["items"][0]["since"] is not None


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"state": "pending"}, 2),
        ({"labels": ['severity="page"', 'alertname=~"Queue(Growing|Full)"']}, 2),
        ({"labels": ["severity=ticket"]}, 1),
        ({"labels": ['team!~"m.*"']}, 3),
        ({"labels": ['team=""']}, 3),
        ({"labels": ['severity=~"pag"']}, 0),
    ],
)
async def test_alerts_are_filtered_by_label_matchers(prometheus: Caller, filters: dict[str, Any], count: int) -> None:
    assert (await prometheus.call("list_alerts", **filters))["total"] == count


@pytest.mark.parametrize("matcher", ["severity", '{severity="page"}', 'severity=~"("', 'a="b",c="d"', 'a="b" or 1'])
async def test_a_matcher_that_is_none_is_refused_before_anything_is_sent(matcher: str) -> None:
    with pytest.raises(ToolError) as caught:
        await NOBODY.call("list_alerts", labels=[matcher])
    assert caught.value.kind == "invalid"


async def test_an_alert_is_explained_from_expression_to_runbook(prometheus: Caller) -> None:
    answer = await prometheus.call("explain_alert", alert="QueueGrowing")
    assert answer["state"] == "firing"
    assert answer["since"] == min(a["since"] for rule in answer["rules"] for a in rule["alerts"])
    page, ticket = answer["rules"]
    assert page["expr"] == "demo_queue_depth > 10"
    assert page["labels"]["severity"] == "page"
    assert page["runbook_url"] == "https://runbooks.acme.test/queues"
    assert page["summary"] in {"Queue mail holds 42", "Queue jobs holds 12"}
    assert {(s["labels"]["queue"], s["value"]) for s in page["current"]} == {("mail", 42), ("jobs", 12)}
    assert {(a["labels"]["queue"], a["value"]) for a in page["alerts"]} == {("mail", 42), ("jobs", 12)}
    assert [a["labels"]["queue"] for a in ticket["alerts"]] == ["mail"]


async def test_an_alert_is_explained_for_some_labels_only(prometheus: Caller) -> None:
    answer = await prometheus.call("explain_alert", alert="QueueGrowing", labels=['queue="jobs"', 'severity="page"'])
    page, ticket = answer["rules"]
    assert [a["labels"]["queue"] for a in page["alerts"]] == ["jobs"]
    assert [s["labels"]["queue"] for s in page["current"]] == ["jobs"]
    assert page["summary"] == "Queue jobs holds 12"
    assert (ticket["alerts"], ticket["current"], ticket["state"]) == ([], [], "inactive")


async def test_pending_and_quiet_alerts_are_explained_too(prometheus: Caller) -> None:
    pending = await prometheus.call("explain_alert", alert="QueueSlow")
    assert (pending["state"], pending["rules"][0]["for_s"]) == ("pending", 3600)
    quiet = await prometheus.call("explain_alert", alert="QueueFull")
    assert (quiet["state"], quiet["since"], quiet["rules"][0]["current"]) == ("inactive", None, [])
    assert quiet["rules"][0]["runbook_url"] == "https://r.test/f"


async def test_an_alert_without_a_rule_is_not_found(prometheus: Caller) -> None:
    with pytest.raises(ToolError, match="no alerting rule") as caught:
        await prometheus.call("explain_alert", alert="Nothing")
    assert caught.value.kind == "not_found"


async def test_a_silence_mutes_its_alerts_until_it_is_expired(prometheus: Caller) -> None:
    silence = await prometheus.call(
        "create_silence",
        matchers=['alertname="QueueGrowing"', 'queue=~"mail|post"', "severity!=ticket"],
        duration="30m",
        comment='Known: "disk" \\ full',
    )
    assert (silence["state"], silence["created_by"]) == ("active", "alice@acme.test")
    length = datetime.fromisoformat(silence["ends"]) - datetime.fromisoformat(silence["starts"])
    assert length == timedelta(minutes=30)

    [listed] = (await prometheus.call("list_silences", matchers=['alertname="QueueGrowing"']))["items"]
    assert {k: listed[k] for k in ("id", "state", "matchers", "comment", "created_by")} == {
        k: silence[k] for k in ("id", "state", "matchers", "comment", "created_by")
    }
    [group] = (await prometheus.call("list_alert_groups", matchers=['alertname="QueueGrowing"']))["items"]
    assert group["receiver"]
    assert {(a["labels"]["queue"], a["labels"]["severity"]): a["silenced_by"] for a in group["alerts"]} == {
        ("mail", "page"): [silence["id"]],
        ("mail", "ticket"): [],
        ("jobs", "page"): [],
    }
    [loud] = (await prometheus.call("list_alert_groups", silenced=False))["items"]
    assert len(loud["alerts"]) == 2

    ended = await prometheus.call("expire_silence", id=silence["id"])
    assert ended == {"id": silence["id"], "already_expired": False, "created_by": "alice@acme.test"}
    again = await prometheus.call("expire_silence", id=silence["id"])
    assert again["already_expired"] is True
    assert (await prometheus.call("list_silences"))["items"] == []
    assert [s["state"] for s in (await prometheus.call("list_silences", state="expired"))["items"]] == ["expired"]
    [unmuted] = (await prometheus.call("list_alert_groups"))["items"]
    assert [a["silenced_by"] for a in unmuted["alerts"]] == [[], [], []]


async def test_a_silence_can_begin_later_and_is_signed_by_subject_without_an_email(stack: Stack) -> None:
    prometheus = Caller({"url": stack.url, "alertmanager_url": stack.alertmanager_url}, BOB)
    silence = await prometheus.call(
        "create_silence", matchers=["service=later"], duration="1h", comment="Upgrade", start="now+2h"
    )
    assert (silence["state"], silence["created_by"]) == ("pending", "bob")
    [listed] = (await prometheus.call("list_silences", state="pending"))["items"]
    assert listed["id"] == silence["id"]
    await prometheus.call("expire_silence", id=silence["id"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"duration": "25h"}, "duration: at most 1d"),
        ({"duration": "0s"}, "duration: .* more than 0"),
        ({"matchers": ['alertname=~".+"']}, "at least one must be exact"),
        ({"matchers": ['alertname=""']}, "at least one must be exact"),
        ({"matchers": []}, "matchers"),
        ({"start": "-1h"}, "start: must be between now"),
        ({"start": "now+31d"}, "start: must be between now"),
        ({"comment": ""}, "comment"),
    ],
)
async def test_a_silence_that_is_too_broad_or_too_long_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], said: str
) -> None:
    good = {"matchers": ["service=refused"], "duration": "1h", "comment": "Because"}
    with pytest.raises(ToolError, match=said) as caught:
        await NOBODY.call("create_silence", **(good | arguments))
    assert caught.value.kind == "invalid"


async def test_a_silence_that_is_not_there_cannot_be_expired(prometheus: Caller) -> None:
    with pytest.raises(ToolError) as caught:
        await prometheus.call("expire_silence", id="00000000-0000-4000-8000-000000000000")
    assert caught.value.kind == "not_found"
    with pytest.raises(ToolError) as caught:
        await prometheus.call("expire_silence", id="../../status")
    assert caught.value.kind == "invalid"


async def test_an_operator_may_shorten_silences() -> None:
    prometheus = Caller({**NOBODY.settings, "max_silence_h": 0.5})
    with pytest.raises(ToolError, match="at most 30m"):
        await prometheus.call("create_silence", matchers=["service=x"], duration="31m", comment="Because")


async def test_without_an_alertmanager_its_tools_say_so_and_the_others_work(stack: Stack) -> None:
    prometheus = Caller({"url": stack.url})
    arguments: dict[str, dict[str, Any]] = {
        "list_silences": {},
        "list_alert_groups": {},
        "create_silence": {"matchers": ["a=b"], "duration": "1h", "comment": "Because"},
        "expire_silence": {"id": "00000000-0000-4000-8000-000000000000"},
    }
    for tool, given in arguments.items():
        with pytest.raises(ToolError, match="no Alertmanager is configured"):
            await prometheus.call(tool, **given)
    assert (await prometheus.call("get_server_info"))["alertmanager_version"] is None
