"""The demo company's targets: every service, a few of which misbehave so that there is something to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from servers.prometheus.emulator.load import share
from servers.prometheus.emulator.services import BUILT_IN, Service
from servers.prometheus.emulator.source import Target
from servers.prometheus.emulator.workload import Fault, target

INCIDENT_BEFORE_START_S = 1_500
"""The faults began this long before the start: within the first hour's history one can see when."""

_USUAL_SUSPECTS: dict[str, str] = {
    "checkout-api": "errors",
    "search-service": "latency",
    "search-api": "latency",
    "payments-worker": "queue",
    "image-resizer": "down",
}
FAULTS = frozenset({"errors", "latency", "queue", "down"})


def company(
    services: Sequence[Service] = BUILT_IN, *, started_s: float, faults: Mapping[str, str] | None = None
) -> tuple[Target, ...]:
    """Return the targets of a company whose Prometheus started at ``started_s``.

    ``faults`` names the fault of each service that has one; by default one service has each kind.
    """
    chosen = chosen_faults(services) if faults is None else faults
    onset_s = started_s - INCIDENT_BEFORE_START_S
    return tuple(
        target(s, cast("Fault", chosen.get(s.name, "")), started_s=started_s, onset_s=onset_s) for s in services
    )


def chosen_faults(services: Sequence[Service]) -> dict[str, str]:
    """Return one misbehaving service for each kind of fault, always the same for the same services."""
    names = [service.name for service in services]
    found: dict[str, str] = {}
    for name, fault in _USUAL_SUSPECTS.items():
        if name in names and fault not in found.values():
            found[name] = fault
    workers = [service.name for service in services if service.is_worker]
    apis = [service.name for service in services if not service.is_worker]
    for fault, candidates in (("errors", apis), ("latency", apis), ("queue", workers), ("down", names)):
        free = [name for name in candidates if name not in found]
        if fault not in found.values() and free:
            found[min(free, key=lambda name: share(name, "fault"))] = fault
    return found
