"""The real Prometheus and Alertmanager, configured for the demo company, on free loopback ports."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from servers.prometheus.emulator import alertmanager
from servers.prometheus.emulator.backfill import backfill
from servers.prometheus.emulator.exporter import exporter, path_of
from servers.prometheus.emulator.process import free_port, program
from servers.prometheus.emulator.run import RULES_FILE
from servers.prometheus.emulator.serving import serving
from servers.prometheus.emulator.source import Target

READY_S = 15.0
BACKFILL_S = 5.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are; ``promtool`` may be missing."""

    prometheus: str
    alertmanager: str
    promtool: str | None


def find_binaries() -> Binaries | None:
    """Return the programs on PATH, or None if one of the two that are needed is missing."""
    prometheus = shutil.which("prometheus")
    manager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if prometheus is None or manager is None:
        return None
    return Binaries(prometheus, manager, shutil.which("promtool"))


@asynccontextmanager
async def real(
    binaries: Binaries, targets: Sequence[Target], data_dir: Path, *, scrape_interval_s: int, has_history: bool
) -> AsyncIterator[tuple[str, str]]:
    """Yield (Prometheus's address, Alertmanager's address). Metrics start afresh each time; silences stay.

    Raises NotStarted if a program does not come up.
    """
    tsdb = data_dir / "tsdb"
    # Metrics are functions of time since this start: what an earlier one left would not fit to them.
    await asyncio.to_thread(shutil.rmtree, tsdb, ignore_errors=True)
    async with (
        serving(exporter(targets)) as exporter_url,
        _alertmanager(binaries.alertmanager, data_dir) as alertmanager_url,
    ):
        if has_history and binaries.promtool is not None:
            await backfill(
                binaries.promtool, targets, folder=data_dir, tsdb=tsdb, now_s=time.time(), limit_s=BACKFILL_S
            )
        settings = prometheus_settings(
            targets, exporter_url, alertmanager_url, scrape_interval_s=scrape_interval_s, rules=RULES_FILE.name
        )
        await asyncio.to_thread(_write, data_dir, "prometheus.yml", yaml.safe_dump(settings, sort_keys=False))
        await asyncio.to_thread(shutil.copyfile, RULES_FILE, data_dir / RULES_FILE.name)
        async with _prometheus(binaries.prometheus, data_dir, tsdb) as url:
            yield url, alertmanager_url


@asynccontextmanager
async def _prometheus(binary: str, data_dir: Path, tsdb: Path) -> AsyncIterator[str]:
    address = f"127.0.0.1:{free_port()}"
    command = (
        binary,
        f"--config.file={data_dir / 'prometheus.yml'}",
        f"--storage.tsdb.path={tsdb}",
        "--storage.tsdb.retention.time=2h",
        "--enable-feature=exemplar-storage",
        # Undocumented, and worth it: by default no target is scraped in the first five seconds.
        "--scrape.discovery-reload-interval=500ms",
        f"--web.listen-address={address}",
    )
    url = f"http://{address}"
    log = data_dir / "prometheus.log"
    async with program(command, folder=data_dir, log=log, ready_url=f"{url}/-/ready", ready_s=READY_S):
        yield url


@asynccontextmanager
async def _alertmanager(binary: str, data_dir: Path) -> AsyncIterator[str]:
    settings = yaml.safe_dump(alertmanager_settings(), sort_keys=False)
    await asyncio.to_thread(_write, data_dir, "alertmanager.yml", settings)
    address = f"127.0.0.1:{free_port()}"
    command = (
        binary,
        f"--config.file={data_dir / 'alertmanager.yml'}",
        f"--storage.path={data_dir / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    url = f"http://{address}"
    log = data_dir / "alertmanager.log"
    async with program(command, folder=data_dir, log=log, ready_url=f"{url}/-/ready", ready_s=READY_S):
        yield url


def prometheus_settings(
    targets: Sequence[Target], exporter_url: str, alertmanager_url: str, *, scrape_interval_s: int, rules: str
) -> dict[str, Any]:
    """Return ``prometheus.yml``: each service is a target of its own at the exporter."""
    address = exporter_url.removeprefix("http://")
    jobs: dict[str, list[dict[str, Any]]] = {}
    for target in targets:
        labels = {"instance": target.instance, "__metrics_path__": path_of(target), **target.labels}
        jobs.setdefault(target.job, []).append({"targets": [address], "labels": labels})
    return {
        "global": {"scrape_interval": f"{scrape_interval_s}s", "evaluation_interval": f"{scrape_interval_s}s"},
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
        "scrape_configs": [{"job_name": job, "static_configs": configs} for job, configs in jobs.items()],
    }


def alertmanager_settings() -> dict[str, Any]:
    """Return ``alertmanager.yml``: grouped and routed as the emulator does, told to nobody."""
    receivers = (alertmanager.DEFAULT_RECEIVER, *alertmanager.RECEIVERS.values())
    return {
        "route": {
            "receiver": alertmanager.DEFAULT_RECEIVER,
            "group_by": list(alertmanager.GROUP_BY),
            "group_wait": "1s",
            "group_interval": "5s",
            "routes": [
                {"matchers": [f'severity="{severity}"'], "receiver": receiver}
                for severity, receiver in alertmanager.RECEIVERS.items()
            ],
        },
        "receivers": [{"name": name} for name in receivers],
    }


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
