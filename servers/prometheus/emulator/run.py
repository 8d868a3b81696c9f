"""A running emulator: Prometheus and Alertmanager on two loopback ports, one state behind both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from servers.prometheus.emulator.alertmanager import AlertmanagerApi
from servers.prometheus.emulator.api_labels import LabelApi
from servers.prometheus.emulator.api_queries import QueryApi
from servers.prometheus.emulator.api_state import StateApi
from servers.prometheus.emulator.company import company
from servers.prometheus.emulator.monitor import Clock, Monitor
from servers.prometheus.emulator.release import Release
from servers.prometheus.emulator.rulefile import parse_rule_file
from servers.prometheus.emulator.serving import serving
from servers.prometheus.emulator.silences import Silences
from servers.prometheus.emulator.source import Target

RULES_FILE = Path(__file__).with_name("rules.yaml")
DEFAULT_VERSION = "3.5.0"


@dataclass(frozen=True, slots=True)
class Emulator:
    """Where the two vendors answer, and the state behind them."""

    url: str
    alertmanager_url: str
    monitor: Monitor


@asynccontextmanager
async def running(
    targets: Sequence[Target] | None = None,
    *,
    rules: str | None = None,
    version: str = DEFAULT_VERSION,
    clock: Clock = time.time,
    interval_s: int = 15,
    history_s: int = 3_600,
    silence_file: Path | None = None,
) -> AsyncIterator[Emulator]:
    """Yield a Prometheus that has watched ``targets`` for ``history_s``, and its Alertmanager.

    Without arguments it watches a small company some of whose services misbehave. ``rules`` is the text of a rule
    file; ``version`` decides between the behaviour of 2.x and 3.x. Silences outlive the process in ``silence_file``.

    Raises RuleFileError or ParseError for rules that cannot be used.
    """
    text = await asyncio.to_thread(RULES_FILE.read_text, encoding="utf-8") if rules is None else rules
    monitor = Monitor.of(
        company(started_s=clock()) if targets is None else targets,
        parse_rule_file(text, file=RULES_FILE.name),
        release=Release(version),
        clock=clock,
        interval_s=interval_s,
        history_s=history_s,
    )
    silences = await asyncio.to_thread(Silences, lambda: monitor.now_ms, silence_file)
    # The first evaluation computes the whole history; no request should have to wait for it.
    await asyncio.to_thread(monitor.catch_up)
    async with (
        serving(prometheus_app(monitor)) as url,
        serving(AlertmanagerApi(monitor, silences, url).app()) as alertmanager_url,
    ):
        yield Emulator(url, alertmanager_url, monitor)


def prometheus_app(monitor: Monitor) -> Starlette:
    """Return Prometheus's HTTP API as an ASGI application."""
    return Starlette(routes=[*QueryApi(monitor).routes(), *LabelApi(monitor).routes(), *StateApi(monitor).routes()])
