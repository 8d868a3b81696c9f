"""The emulator's Alertmanager: what silences do, what it refuses, and that they outlive the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft4Validator

from servers.prometheus.emulator import running

CONTRACT = Path(__file__).parents[4] / "shared" / "contracts" / "prometheus" / "alertmanager-v2-openapi.yaml"


@dataclass(slots=True)
class Clock:
    now_s: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def iso(self, after_s: float = 0) -> str:
        return datetime.fromtimestamp(self.now_s + after_s, UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Vendor:
    http: httpx.AsyncClient
    clock: Clock

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def draft(self, *matchers: dict[str, Any], ends_after_s: float = 600, **more: Any) -> dict[str, Any]:
        return {
            "matchers": list(matchers) or [equal("service", "checkout-api")],
            "startsAt": self.clock.iso(),
            "endsAt": self.clock.iso(ends_after_s),
            "createdBy": "alice@acme.test",
            "comment": "deploying",
            **more,
        }

    async def silence(self, *matchers: dict[str, Any], **more: Any) -> str:
        answer = await self.http.post("/silences", json=self.draft(*matchers, **more))
        assert answer.status_code == 200, answer.text
        silence_id: str = answer.json()["silenceID"]
        return silence_id

    async def silent(self) -> set[str]:
        return {a["labels"]["service"] for a in await self.get("/alerts") if a["status"]["state"] == "suppressed"}


def equal(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": False, "isEqual": True, **more}


@asynccontextmanager
async def vendor_of(clock: Clock, file: Path | None = None) -> AsyncIterator[Vendor]:
    async with (
        running(clock=clock, silence_file=file, history_s=300) as emulator,
        httpx.AsyncClient(base_url=f"{emulator.alertmanager_url}/api/v2", trust_env=False) as http,
    ):
        yield Vendor(http, clock)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with vendor_of(Clock()) as found:
        yield found


async def test_a_silence_silences_what_it_matches_until_it_ends(vendor: Vendor) -> None:
    silence_id = await vendor.silence()
    assert await vendor.silent() == {"checkout-api"}
    [alert] = await vendor.get("/alerts", filter='service="checkout-api"')
    assert alert["status"]["silencedBy"] == [silence_id]
    vendor.clock.now_s += 601
    assert await vendor.silent() == set()
    assert (await vendor.get(f"/silence/{silence_id}"))["status"]["state"] == "expired"


async def test_an_expired_silence_no_longer_silences_and_may_be_expired_again(vendor: Vendor) -> None:
    silence_id = await vendor.silence()
    for _ in range(2):
        assert (await vendor.http.delete(f"/silence/{silence_id}")).status_code == 200
    assert await vendor.silent() == set()
    assert (await vendor.get("/silences", expired="false")) == []
    assert [s["id"] for s in await vendor.get("/silences")] == [silence_id]


async def test_a_silence_that_is_yet_to_begin_waits(vendor: Vendor) -> None:
    silence_id = await vendor.silence(startsAt=vendor.clock.iso(300))
    assert (await vendor.get(f"/silence/{silence_id}"))["status"]["state"] == "pending"
    assert await vendor.silent() == set()
    vendor.clock.now_s += 300
    assert await vendor.silent() == {"checkout-api"}


@pytest.mark.parametrize(
    ("matchers", "silent"),
    [
        ([{"name": "service", "value": "checkout.*|search.*", "isRegex": True}], {"checkout-api", "search-api"}),
        ([equal("severity", "critical"), equal("service", "checkout-api", isEqual=False)], {"shipping-worker"}),
        (
            [{"name": "service", "value": "[cps].+", "isRegex": True, "isEqual": False}, equal("severity", "warning")],
            set(),
        ),
        ([equal("alertname", "HighErrorRate"), equal("nothing", "")], {"checkout-api"}),
    ],
)
async def test_all_matchers_of_a_silence_must_hold(
    vendor: Vendor, matchers: list[dict[str, Any]], silent: set[str]
) -> None:
    await vendor.silence(*matchers)
    assert await vendor.silent() == silent


async def test_a_changed_silence_keeps_its_id_unless_it_silences_something_else(vendor: Vendor) -> None:
    silence_id = await vendor.silence()
    assert await vendor.silence(id=silence_id, ends_after_s=1_200) == silence_id
    other = await vendor.silence(equal("service", "search-api"), id=silence_id)
    assert other != silence_id
    assert await vendor.silent() == {"search-api"}
    unknown = vendor.draft(id="7b1f0b2e-0b5c-4b1b-9c59-5d4a4f1f1111")
    assert (await vendor.http.post("/silences", json=unknown)).status_code == 404


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"matchers": []}, 422, "at least 1 items"),
    ({"matchers": None}, 422, "matchers in body is required"),
    ({"comment": None}, 422, "comment in body is required"),
    ({"matchers": [{"name": "a", "value": "", "isRegex": False}]}, 400, "must not match the empty string"),
    ({"matchers": [{"name": "a-b", "value": "x", "isRegex": False}]}, 400, "invalid label name"),
    ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400, "invalid regular expression"),
    ({"matchers": [{"name": "a", "value": 5, "isRegex": False}]}, 400, "must be strings"),
    ({"matchers": ["a=b"]}, 400, "must be strings"),
    ({"endsAt": "2020-01-01T00:00:00Z", "startsAt": "2019-01-01T00:00:00Z"}, 400, "can't be in the past"),
    ({"startsAt": "2099-01-01T00:00:00Z"}, 400, "start time must be before end time"),
    ({"startsAt": "yesterday"}, 400, "RFC 3339"),
    ({"comment": "x" * 5_000}, 400, "at most 4096 characters"),
]


async def test_a_silence_that_makes_no_sense_is_refused(vendor: Vendor) -> None:
    for change, status, message in REFUSED:
        answer = await vendor.http.post("/silences", json=vendor.draft() | change)
        assert (answer.status_code, message in answer.text) == (status, True), (change, answer.text)
    for body in (b"", b"x", b"[]", b"[" * 100_000, b'{"comment": "' + b"x" * 300_000 + b'"}'):
        assert (await vendor.http.post("/silences", content=body)).status_code == 400
    assert await vendor.get("/silences") == []


async def test_an_unknown_silence_is_not_found(vendor: Vendor) -> None:
    unknown = "/silence/7b1f0b2e-0b5c-4b1b-9c59-5d4a4f1f1111"
    assert (await vendor.http.get(unknown)).status_code == 404
    assert (await vendor.http.delete(unknown)).status_code == 404
    assert (await vendor.http.get("/silence/nope")).status_code == 422


async def test_alerts_are_filtered_by_state_matcher_and_receiver(vendor: Vendor) -> None:
    await vendor.silence()
    every = {"checkout-api", "search-api", "payments-worker", "shipping-worker"}

    async def services(**parameters: Any) -> set[str]:
        return {a["labels"]["service"] for a in await vendor.get("/alerts", **parameters)}

    assert await services() == every
    assert await services(silenced="false") == every - {"checkout-api"}
    assert await services(active="false") == {"checkout-api"}
    assert await services(filter='severity="critical"') == {"checkout-api", "shipping-worker"}
    assert await services(filter=["severity=critical", "service!~ship.*"]) == {"checkout-api"}
    assert await services(receiver="team-.*") == {"search-api", "payments-worker"}
    for parameters in ({"filter": "service"}, {"filter": 'a=~"("'}, {"receiver": "("}):
        assert (await vendor.http.get("/alerts", params=parameters)).status_code == 400


async def test_groups_hold_the_alerts_of_one_service_and_receiver(vendor: Vendor) -> None:
    groups = await vendor.get("/alerts/groups")
    assert [(g["receiver"]["name"], g["labels"]["alertname"], len(g["alerts"])) for g in groups] == [
        ("pager", "HighErrorRate", 1),
        ("pager", "TargetDown", 1),
        ("team-chat", "HighLatency", 1),
        ("team-chat", "QueueGrowing", 1),
    ]
    await vendor.silence()
    assert len(await vendor.get("/alerts/groups", silenced="false")) == 3
    assert len(await vendor.get("/alerts/groups", muted="false")) == 3


async def test_silences_are_found_by_what_they_match(vendor: Vendor) -> None:
    await vendor.silence()
    assert len(await vendor.get("/silences", filter="service=checkout-api")) == 1
    assert len(await vendor.get("/silences", filter='service=~"check.*"')) == 1
    assert await vendor.get("/silences", filter="service=search-api") == []
    assert await vendor.get("/silences", filter="team=checkout") == []


async def test_silences_outlive_the_process(tmp_path: Path) -> None:
    clock = Clock()
    async with vendor_of(clock, tmp_path / "silences.json") as first:
        silence_id = await first.silence({"name": "service", "value": "check.*", "isRegex": True})
        kept = await first.get(f"/silence/{silence_id}")
    async with vendor_of(clock, tmp_path / "silences.json") as second:
        assert await second.get(f"/silence/{silence_id}") == kept
        assert await second.silent() == {"checkout-api"}


@pytest.mark.skipif(not CONTRACT.exists(), reason="the contract documents are not beside the checkout")
async def test_every_answer_keeps_the_published_contract(vendor: Vendor) -> None:
    document = yaml.safe_load(CONTRACT.read_text())
    silence_id = await vendor.silence()
    found = []
    for path, schema in (
        ("/status", {"$ref": "#/definitions/alertmanagerStatus"}),
        ("/receivers", {"type": "array", "items": {"$ref": "#/definitions/receiver"}}),
        ("/alerts", {"$ref": "#/definitions/gettableAlerts"}),
        ("/alerts/groups", {"$ref": "#/definitions/alertGroups"}),
        ("/silences", {"$ref": "#/definitions/gettableSilences"}),
        (f"/silence/{silence_id}", {"$ref": "#/definitions/gettableSilence"}),
    ):
        validator = Draft4Validator({**schema, "definitions": document["definitions"]})
        found += [f"{path}: {e.message[:200]}" for e in validator.iter_errors(await vendor.get(path))]
    assert found == []
