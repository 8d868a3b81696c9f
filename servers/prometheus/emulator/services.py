"""Which services the demo company runs: read from the catalog's Component files, or a small company of our own.

A file that cannot be read never stops the demo: it is logged and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import yaml

log = structlog.get_logger(__name__)

MAX_FILES = 2_000
MAX_FILE_BYTES = 1_048_576
MAX_SERVICES = 60
_WORKER_WORDS = (
    *("worker", "consumer", "indexer", "dispatcher", "processor", "relay", "scheduler"),
    *("sender", "notifier", "resizer", "runner"),
)
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Service:
    """What the metrics need to know of a service."""

    name: str
    team: str = "platform"
    system: str = ""
    tier: str = "2"
    namespace: str = "default"

    @property
    def is_worker(self) -> bool:
        """Say whether the service takes its work from a queue."""
        return any(word in self.name for word in _WORKER_WORDS)


BUILT_IN = (
    Service("checkout-api", "checkout", "storefront", "1"),
    Service("cart-api", "checkout", "storefront", "1"),
    Service("catalog-api", "discovery", "storefront", "2"),
    Service("search-api", "discovery", "storefront", "2"),
    Service("payments-api", "payments", "payments", "1"),
    Service("payments-worker", "payments", "payments", "1"),
    Service("orders-api", "orders", "fulfilment", "1"),
    Service("shipping-worker", "orders", "fulfilment", "2"),
    Service("notifications-worker", "engagement", "messaging", "3"),
    Service("recommendations-api", "discovery", "storefront", "3"),
)


def read_services(folder: Path) -> tuple[Service, ...]:
    """Return the services of a catalog folder ordered by name, or the built-in ones if it describes none. Blocks."""
    found: dict[str, Service] = {}
    for path in sorted(folder.rglob("*.yaml"))[:MAX_FILES]:
        for document in _documents(path):
            service = _service(document)
            if service is not None:
                found.setdefault(service.name, service)
    if not found:
        log.warning("prometheus.demo.no_services", folder=str(folder), using="built-in services")
        return BUILT_IN
    return tuple(found[name] for name in sorted(found)[:MAX_SERVICES])


def _documents(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict):
                yield document
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        log.warning("prometheus.demo.unreadable", file=str(path), error=type(error).__name__)


def _service(document: Mapping[str, Any]) -> Service | None:
    metadata, spec = _mapping(document.get("metadata")), _mapping(document.get("spec"))
    name = metadata.get("name")
    if document.get("kind") != "Component" or spec.get("type") != "service" or not isinstance(name, str):
        return None
    if _NAME.fullmatch(name) is None:
        return None
    return Service(
        name=name,
        team=_short(spec.get("owner")) or "platform",
        system=_short(spec.get("system")),
        tier=_tier(metadata) or "2",
        namespace=str(metadata.get("namespace") or "default"),
    )


def _tier(metadata: Mapping[str, Any]) -> str:
    for place in ("labels", "annotations"):
        for key, value in _mapping(metadata.get(place)).items():
            if str(key).rsplit("/", 1)[-1] == "tier":
                return str(value)
    return ""


def _short(reference: object) -> str:
    """Return the name in an entity reference such as ``group:default/payments``."""
    return reference.rsplit("/", 1)[-1].rsplit(":", 1)[-1] if isinstance(reference, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
