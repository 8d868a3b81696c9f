"""The metrics of one demo service, as functions of time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from servers.prometheus.emulator.load import Load, Part, between
from servers.prometheus.emulator.promql.labels import labels_of
from servers.prometheus.emulator.services import Service
from servers.prometheus.emulator.source import Exemplar, Family, Series, Target

Fault = Literal["", "errors", "latency", "queue", "down"]

JOB = "services"
BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SPREAD = 0.6
_SLOWED_BY = 14.0
_EXEMPLAR_EVERY_S = 15


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: str
    weight: float
    success: str


def target(service: Service, fault: Fault, *, started_s: float, onset_s: float) -> Target:
    """Return what is scraped of a service whose fault, if any, begins at ``onset_s``."""
    workload = _Workload(service, fault, started_s - between(1, 6, service.name, "age") * 86_400, onset_s)
    labels = {
        "service": service.name,
        "team": service.team,
        "system": service.system,
        "tier": service.tier,
        "namespace": service.namespace,
    }
    return Target(
        job=JOB,
        instance=f"{service.name}-0:8080",
        labels={name: value for name, value in labels.items() if value},
        families=tuple(workload.families()),
        down_since_s=onset_s if fault == "down" else None,
        fault=fault,
    )


@dataclass(frozen=True, slots=True)
class _Workload:
    service: Service
    fault: Fault
    since_s: float
    onset_s: float

    def families(self) -> Iterator[Family]:
        """Yield every metric of the service."""
        name = self.service.name
        routes = self._routes()
        loads = {route: self._load(route) for route in routes}
        yield Family(
            "http_requests", "counter", "Requests answered, by route and status code.", "", self._requests(loads)
        )
        yield Family(
            "http_request_duration_seconds",
            "histogram",
            "Time to answer a request.",
            "seconds",
            [series for route, load in loads.items() for series in self._durations(route, load)],
        )
        if self.service.is_worker:
            yield from self._queue()
        busy = list(loads.values())
        cpu_s = between(0.002, 0.006, name, "cpu")
        yield _single(
            "process_cpu_seconds",
            "counter",
            "CPU time used.",
            "seconds",
            lambda t: round(0.02 * (t - self.since_s) + cpu_s * sum(load.total(t) for load in busy), 2),
        )
        memory = between(90, 420, name, "memory") * 2**20
        yield _single(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory.",
            "bytes",
            lambda t: float(math.floor(memory * (1 + 0.08 * math.sin(t / 311) + 0.03 * math.sin(t / 47)))),
        )
        yield _single(
            "process_start_time_seconds", "gauge", "Start of the process.", "seconds", lambda _t: self.since_s
        )
        version = f"1.{int(between(2, 40, name, 'minor'))}.{int(between(0, 9, name, 'patch'))}"
        build = Series("build_info", labels_of({"version": version}), lambda _t: 1.0)
        yield Family("build_info", "gauge", "Always 1; the labels say what runs.", "", [build])

    def _routes(self) -> tuple[_Route, ...]:
        noun = self.service.name.rsplit("-", 1)[0] or self.service.name
        if self.service.is_worker:
            return (_Route("POST", "/internal/trigger", 0.8, "202"), _Route("GET", "/healthz", 0.2, "200"))
        return (
            _Route("GET", f"/v1/{noun}/{{id}}", 0.62, "200"),
            _Route("POST", f"/v1/{noun}", 0.28, "201"),
            _Route("GET", "/healthz", 0.10, "200"),
        )

    def _load(self, route: _Route) -> Load:
        name = self.service.name
        mean = between(4, 16, name, "rate") * {"1": 3.0, "3": 0.4}.get(self.service.tier, 1.0)
        return Load(
            mean_per_s=mean * route.weight,
            daily=between(0.35, 0.55, name, "daily"),
            peak_s=between(12, 19, name, "peak") * 3_600,
            ripple=0.06,
            ripple_s=between(420, 900, name, route.path, "ripple"),
            since_s=self.since_s,
        )

    def _requests(self, loads: dict[_Route, Load]) -> list[Series]:
        found = []
        for route, load in loads.items():
            failed = 0.0 if route.path == "/healthz" else between(0.001, 0.004, self.service.name, route.path, "failed")
            failing = (
                between(0.10, 0.16, self.service.name, route.path) if self.fault == "errors" and failed else failed
            )
            refused = 0.0 if route.path == "/healthz" else between(0.01, 0.03, self.service.name, route.path, "refused")
            parts = {
                route.success: (1 - refused - failed, 1 - refused - failing),
                "404": (refused, refused),
                "500": (failed * 0.7, failing * 0.7),
                "503": (failed * 0.3, failing * 0.3),
            }
            for code, (before, after) in parts.items():
                if before:
                    labels = labels_of({"method": route.method, "route": route.path, "code": code})
                    part = Part(load, before, after, self.onset_s)
                    found.append(Series("http_requests_total", labels, part.count))
        return found

    def _durations(self, route: _Route, load: Load) -> Iterator[Series]:
        median_s = 0.003 if route.path == "/healthz" else between(0.025, 0.09, self.service.name, route.path, "median")
        slow = self.fault == "latency" and route.path != "/healthz"
        slowed_s = median_s * (_SLOWED_BY if slow else 1.0)
        labels = {"method": route.method, "route": route.path}
        previous_s = 0.0
        for bound_s in (*BUCKETS_S, math.inf):
            part = Part(load, _below(bound_s, median_s), _below(bound_s, slowed_s), self.onset_s)
            le = "+Inf" if math.isinf(bound_s) else str(bound_s)
            typical = previous_s < slowed_s <= bound_s and route.path != "/healthz"
            exemplar = self._exemplar(route, previous_s, bound_s) if typical else None
            yield Series("http_request_duration_seconds_bucket", labels_of({**labels, "le": le}), part.count, exemplar)
            previous_s = bound_s
        whole = Part(load, 1.0, 1.0, self.onset_s)
        mean = math.exp(_SPREAD**2 / 2)
        spent = Part(load, median_s * mean, slowed_s * mean, self.onset_s)
        yield Series("http_request_duration_seconds_sum", labels_of(labels), spent.total)
        yield Series("http_request_duration_seconds_count", labels_of(labels), whole.count)

    def _exemplar(self, route: _Route, low_s: float, high_s: float) -> Callable[[float], Exemplar]:
        top_s = high_s if math.isfinite(high_s) else low_s * 2

        def at(time_s: float) -> Exemplar:
            slot = int(time_s // _EXEMPLAR_EVERY_S)
            words = (self.service.name, route.method, route.path, str(slot))
            trace = hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]
            value = round(between(low_s + (top_s - low_s) * 0.1, top_s, *words), 4)
            return Exemplar(labels_of({"trace_id": trace}), value, slot * float(_EXEMPLAR_EVERY_S))

        return at

    def _queue(self) -> Iterator[Family]:
        name = self.service.name
        queue = labels_of({"queue": name.rsplit("-", 1)[0]})
        usual = between(15, 60, name, "queue")
        growth_per_s = 2.4 if self.fault == "queue" else 0.0
        work = Load(between(3, 9, name, "work"), 0.4, 15 * 3_600, 0.05, 600, self.since_s)

        def depth(time_s: float) -> float:
            wave = usual * (1 + 0.4 * math.sin(time_s / 173))
            return float(math.floor(wave + growth_per_s * max(0.0, time_s - self.onset_s)))

        done = Part(work, 1.0, 0.6 if self.fault == "queue" else 1.0, self.onset_s)
        yield Family("queue_depth", "gauge", "Messages that wait.", "", [Series("queue_depth", queue, depth)])
        processed = Series("queue_processed_total", queue, done.count)
        yield Family("queue_processed", "counter", "Messages handled.", "", [processed])


def _single(name: str, kind: Literal["counter", "gauge"], text: str, unit: str, at: Callable[[float], float]) -> Family:
    sample = f"{name}_total" if kind == "counter" else name
    return Family(name, kind, text, unit, [Series(sample, (), at)])


def _below(bound_s: float, median_s: float) -> float:
    """Return the share of a log-normal latency that is at most ``bound_s``."""
    if math.isinf(bound_s):
        return 1.0
    return 0.5 * (1 + math.erf(math.log(bound_s / median_s) / (_SPREAD * math.sqrt(2))))
