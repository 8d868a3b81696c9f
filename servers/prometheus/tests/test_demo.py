"""The demo: metrics and alerts of the catalog's services at once, with the real programs and without them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from servers.prometheus.demo import running
from servers.prometheus.emulator.backfill import backfill
from servers.prometheus.emulator.company import chosen_faults, company
from servers.prometheus.emulator.exporter import exporter
from servers.prometheus.emulator.process import NotStarted, program
from servers.prometheus.emulator.real import Binaries, find_binaries, real
from servers.prometheus.emulator.services import BUILT_IN, Service, read_services
from servers.prometheus.emulator.serving import serving

needs_binaries = pytest.mark.skipif(find_binaries() is None, reason="prometheus and alertmanager are not installed")
WAIT_S = 45.0
KINDS = {"HighErrorRate", "HighLatency", "QueueGrowing", "TargetDown"}

CATALOG = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: ledger-api
  labels: {acme.test/tier: "1"}
spec: {type: service, lifecycle: production, owner: "group:default/money", system: ledger}
---
kind: Component
metadata: {name: ledger-web}
spec: {type: website, owner: money}
---
kind: API
metadata: {name: ledger}
spec: {type: service}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    folder = tmp_path / "catalog"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "ledger.yaml").write_text(CATALOG)
    for name in ("statements-worker", "rates-api", "risk-api"):
        text = f"kind: Component\nmetadata: {{name: {name}}}\nspec: {{type: service, owner: money}}\n"
        (folder / f"{name}.yaml").write_text(text)
    return folder


async def eventually(found: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """Return what was found once it is as wanted."""
    async with asyncio.timeout(WAIT_S):
        while not wanted(value := await found()):
            await asyncio.sleep(0.2)
        return value


async def data(url: str, path: str, **parameters: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{url}/api/v1/{path}", params=parameters)
    return answer.json()["data"]


async def firing(url: str) -> set[str]:
    alerts = (await data(url, "alerts"))["alerts"]
    return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}


def test_only_service_components_get_metrics(catalog: Path) -> None:
    services = read_services(catalog)
    assert [s.name for s in services] == ["ledger-api", "rates-api", "risk-api", "statements-worker"]
    assert services[0] == Service("ledger-api", team="money", system="ledger", tier="1", namespace="default")


@pytest.mark.parametrize(
    "text",
    ["a: [", "\x00", "just text", "- 1", "kind: Component", "kind: Component\nmetadata: 5\nspec: []",
     "kind: Component\nmetadata: {name: '../../etc/passwd'}\nspec: {type: service}",
     "kind: Component\nmetadata: {name: [x]}\nspec: {type: service}",
     "[" * 5_000],
)  # fmt: skip
def test_a_broken_catalog_file_hides_no_other(catalog: Path, text: str) -> None:
    (catalog / "broken.yaml").write_text(text)
    assert len(read_services(catalog)) == 4


def test_without_a_catalog_there_is_a_company_all_the_same(tmp_path: Path) -> None:
    assert read_services(tmp_path / "nothing") == BUILT_IN


def test_the_same_company_has_the_same_faults_one_of_each_kind() -> None:
    services = [Service(f"service-{i}-{kind}") for i in range(9) for kind in ("api", "worker")]
    faults = chosen_faults(services)
    assert sorted(faults.values()) == ["down", "errors", "latency", "queue"]
    assert faults == chosen_faults(list(reversed(services)))
    assert next(name for name, fault in faults.items() if fault == "queue").endswith("worker")
    assert chosen_faults([Service("alone-api")]) == {"alone-api": "errors"}


async def test_unknown_options_are_refused(tmp_path: Path) -> None:
    for options in ({"catalogue": "x"}, {"backend": "cloud"}, {"faults": {"a": "fire"}}, {"scrape_interval_s": 0}):
        with pytest.raises(ValidationError):
            async with running(tmp_path, options):
                pass


async def test_the_emulator_shows_the_catalogs_services_and_alerts_at_once(tmp_path: Path, catalog: Path) -> None:
    options = {"backend": "emulator", "catalog": str(catalog)}
    async with running(tmp_path, options) as settings:
        assert settings.keys() == {"url", "alertmanager_url"}
        assert await data(settings["url"], "label/service/values") == [s.name for s in read_services(catalog)]
        assert await firing(settings["url"]) == KINDS
        rates = (await data(settings["url"], "query", query="rate(http_requests_total[1m])"))["result"]
        assert sum(float(series["value"][1]) for series in rates) > 1


async def test_faults_can_be_chosen(tmp_path: Path, catalog: Path) -> None:
    options = {"backend": "emulator", "catalog": catalog, "faults": {"rates-api": "errors"}}
    async with running(tmp_path, options) as settings:
        alerts = (await data(settings["url"], "alerts"))["alerts"]
        assert [(a["labels"]["alertname"], a["labels"]["service"]) for a in alerts] == [("HighErrorRate", "rates-api")]


async def test_the_exporter_speaks_openmetrics_and_knows_who_is_down() -> None:
    targets = company(BUILT_IN, started_s=1_800_000_000)
    async with (
        serving(exporter(targets, lambda: 1_800_000_000.0)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        answer = await http.get("/metrics/checkout-api")
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("\n# EOF\n")
        assert "# TYPE http_requests counter" in answer.text
        assert ' # {trace_id="' in answer.text
        values = [float(line.split()[1]) for line in answer.text.splitlines() if line.startswith("http_requests_total")]
        assert min(values) > 0
        assert (await http.get("/metrics/shipping-worker")).status_code == 503
        assert (await http.get("/metrics/nobody")).status_code == 404


@needs_binaries
async def test_the_real_prometheus_has_a_past_and_fires_every_kind_of_alert(tmp_path: Path, catalog: Path) -> None:
    async with running(tmp_path, {"backend": "real", "catalog": catalog, "scrape_interval_s": 1}) as settings:
        url = settings["url"]
        version = (await data(url, "status/buildinfo"))["version"]
        assert version[0].isdigit()
        past = await data(url, "query", query='count_over_time(http_requests_total{code="200"}[50m] offset 5m)')
        assert max(float(series["value"][1]) for series in past["result"]) >= 99
        await eventually(lambda: firing(url), lambda found: found >= KINDS)
        targets = await eventually(
            lambda: data(url, "targets"), lambda found: all(t["health"] != "unknown" for t in found["activeTargets"])
        )
        assert sum(t["health"] == "down" for t in targets["activeTargets"]) == 1
        groups = await eventually(
            lambda: _groups(settings["alertmanager_url"]), lambda found: {name for _, name in found} >= KINDS
        )
        assert ("pager", "HighErrorRate") in groups
        assert ("team-chat", "HighLatency") in groups


async def _groups(url: str) -> set[tuple[str, str]]:
    async with httpx.AsyncClient(trust_env=False) as http:
        found = (await http.get(f"{url}/api/v2/alerts/groups")).json()
    return {(group["receiver"]["name"], group["labels"]["alertname"]) for group in found}


@needs_binaries
async def test_a_program_that_does_not_start_is_replaced_by_the_emulator(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("prometheus", "prometheus-alertmanager"):
        (programs / name).write_text("#!/bin/sh\nexit 3\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    async with running(tmp_path, {"catalog": catalog}) as settings:
        assert (await data(settings["url"], "status/buildinfo"))["revision"] == "emulator"
    with pytest.raises(NotStarted, match="did not become ready"):
        async with running(tmp_path, {"backend": "real", "catalog": catalog}):
            pass


async def test_without_the_programs_the_emulator_answers(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with running(tmp_path, {"catalog": catalog}) as settings:
        assert (await data(settings["url"], "status/buildinfo"))["revision"] == "emulator"
    with pytest.raises(NotStarted, match="must be on PATH"):
        async with running(tmp_path, {"backend": "real", "catalog": catalog}):
            pass


async def test_a_backfill_that_takes_too_long_leaves_nothing(tmp_path: Path) -> None:
    slow = tmp_path / "promtool"
    slow.write_text('#!/bin/sh\nmkdir -p "$5"\nexec /bin/sleep 60\n')
    slow.chmod(0o755)
    targets = company(BUILT_IN[:1], started_s=1_800_000_000)
    blocks = tmp_path / "tsdb"
    done = await backfill(str(slow), targets, folder=tmp_path, tsdb=blocks, now_s=1_800_000_000, limit_s=1)
    assert not done
    assert not blocks.exists()
    assert not (tmp_path / "history.om").exists()


OWNER = """
import asyncio, sys, time
from pathlib import Path
from servers.prometheus.demo import running

async def main():
    options = {"backend": "real", "catalog": sys.argv[2], "history": False}
    async with running(Path(sys.argv[1]), options) as settings:
        print("READY", settings["url"], settings["alertmanager_url"], flush=True)
        await asyncio.sleep(120)

asyncio.run(main())
"""


@needs_binaries
async def test_the_programs_do_not_outlive_an_owner_that_is_killed(tmp_path: Path, catalog: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(tmp_path), str(catalog), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    async with asyncio.timeout(WAIT_S):
        while not (line := (await owner.stdout.readline()).decode()).startswith("READY"):
            assert line, "the owner ended before its programs were ready"
    _, *urls = line.split()
    assert [await _answers(url) for url in urls] == [True, True]
    owner.send_signal(signal.SIGKILL)
    await owner.wait()
    for url in urls:
        await eventually(partial(_answers, url), lambda answers: not answers)


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        try:
            return (await http.get(f"{url}/-/ready")).is_success
        except httpx.HTTPError:
            return False


async def test_a_program_gets_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_SECRET", "hunter2")
    script = "import json, os; print(json.dumps(dict(os.environ)), flush=True); input()"
    with pytest.raises(NotStarted):
        async with program(
            (sys.executable, "-c", script),
            folder=tmp_path,
            log=tmp_path / "log",
            ready_url="http://127.0.0.1:9/",
            ready_s=5,
        ):
            pass
    environment = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert "DEMO_SECRET" not in environment
    assert "PATH" not in environment


@needs_binaries
async def test_silences_stay_and_metrics_start_afresh(tmp_path: Path) -> None:
    binaries = find_binaries()
    assert binaries is not None
    without_history = Binaries(binaries.prometheus, binaries.alertmanager, None)
    targets = company(BUILT_IN[:2], started_s=1_800_000_000)
    (tmp_path / "tsdb" / "old").mkdir(parents=True)
    draft = {
        "matchers": [{"name": "service", "value": "cart-api", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2096-01-01T00:00:00Z",
        "createdBy": "alice@acme.test",
        "comment": "x",
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        started = real(without_history, targets, tmp_path, scrape_interval_s=2, has_history=True)
        async with started as (_, alertmanager_url):
            assert not (tmp_path / "tsdb" / "old").exists()
            answer = await http.post(f"{alertmanager_url}/api/v2/silences", json=draft)
            assert answer.status_code == 200
        started = real(without_history, targets, tmp_path, scrape_interval_s=2, has_history=True)
        async with started as (_, alertmanager_url):
            [silence] = (await http.get(f"{alertmanager_url}/api/v2/silences")).json()
            assert silence["id"] == answer.json()["silenceID"]
