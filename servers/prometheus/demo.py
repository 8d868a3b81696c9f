"""The demo vendor of ``make run``: live metrics and alerts of the demo company, from its first second.

Where ``prometheus`` and ``alertmanager`` are installed they are started, on free loopback ports and on a leash; on any
other machine, and if they do not come up, the emulator answers the same API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

from servers.prometheus import emulator
from servers.prometheus.emulator.company import company
from servers.prometheus.emulator.process import NotStarted
from servers.prometheus.emulator.real import find_binaries, real
from servers.prometheus.emulator.services import read_services
from servers.prometheus.emulator.source import Target

log = structlog.get_logger(__name__)


class DemoOptions(BaseModel):
    """What ``[upstreams.prometheus.demo.options]`` may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: Path = Field(
        default=Path("catalog-info"), description="Folder of Backstage YAML; its services get metrics."
    )
    backend: Literal["auto", "real", "emulator"] = Field(
        default="auto", description="`real` fails where the programs are missing; `auto` takes the emulator then."
    )
    scrape_interval_s: int = Field(default=2, ge=1, le=60, description="Of the real Prometheus.")
    history: bool = Field(default=True, description="Give the real Prometheus an hour of the past.")
    faults: dict[str, Literal["errors", "latency", "queue", "down"]] | None = Field(
        default=None, description="Which service misbehaves how; by default one of each kind."
    )


@asynccontextmanager
async def running(data_dir: Path, options: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yield the server's settings, ``url`` and ``alertmanager_url``, while the demo runs.

    Raises ValueError for options that nobody knows, and NotStarted if ``backend`` is ``real`` and cannot be had.
    """
    chosen = DemoOptions.model_validate(dict(options))
    services = await asyncio.to_thread(read_services, chosen.catalog)
    targets = company(services, started_s=time.time(), faults=chosen.faults)
    folder = await asyncio.to_thread(data_dir.absolute)
    async with AsyncExitStack() as stack:
        found = await _real(stack, targets, folder, chosen) if chosen.backend != "emulator" else None
        if found is None:
            vendor = emulator.running(targets, silence_file=folder / "silences.json")
            running_emulator = await stack.enter_async_context(vendor)
            found = (running_emulator.url, running_emulator.alertmanager_url)
            log.info("prometheus.demo.running", backend="emulator", url=found[0], services=len(services))
        else:
            log.info("prometheus.demo.running", backend="real", url=found[0], services=len(services))
        yield {"url": found[0], "alertmanager_url": found[1]}


async def _real(
    stack: AsyncExitStack, targets: tuple[Target, ...], folder: Path, chosen: DemoOptions
) -> tuple[str, str] | None:
    """Start the real programs; return None if the emulator is to stand in."""
    binaries = await asyncio.to_thread(find_binaries)
    try:
        if binaries is None:
            raise NotStarted("prometheus and prometheus-alertmanager (or alertmanager) must be on PATH")
        return await stack.enter_async_context(
            real(binaries, targets, folder, scrape_interval_s=chosen.scrape_interval_s, has_history=chosen.history)
        )
    except (NotStarted, OSError) as error:
        if chosen.backend == "real":
            raise
        log.info("prometheus.demo.emulated", reason=str(error))
        return None
