"""Prometheus's HTTP API in the words of our tools: the only file that knows its addresses and fields for queries,
labels and status. Rules, targets and alerts are read by discovery.py, Alertmanager by alertmanager.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import httpx
from pydantic import SecretStr

from servers._kit import NotFound, ToolFailure, VendorRejected
from servers._kit.http import Http, open_http, path
from servers.prometheus import decode
from servers.prometheus.alertmanager import Alertmanager
from servers.prometheus.decode import understood
from servers.prometheus.discovery import Discovery
from servers.prometheus.matchers import label_in_path
from servers.prometheus.models import (
    Cardinality,
    CardinalityEntry,
    ExemplarSeries,
    InstantResult,
    Labels,
    MetricMetadata,
)
from servers.prometheus.models_alerts import ServerInfo
from servers.prometheus.moments import at, duration_text
from servers.prometheus.series_over_time import Matrix, Series
from servers.prometheus.settings import PrometheusSettings

VENDOR = "Prometheus"


class Prometheus:
    """A connection to one Prometheus, and to its Alertmanager when there is one."""

    def __init__(self, http: Http, alertmanager: Alertmanager | None, settings: PrometheusSettings) -> None:
        self._http = http
        self._alertmanager = alertmanager
        self._timeout_s = settings.timeout_s
        self.max_silence_s = settings.max_silence_h * 3_600
        self.discovery = Discovery(http)

    @property
    def alertmanager(self) -> Alertmanager:
        """The Alertmanager. Raises VendorRejected when none is configured."""
        if self._alertmanager is None:
            raise VendorRejected(
                "no Alertmanager is configured for this server; its operator must set alertmanager_url. "
                "list_alerts reads the alerts from Prometheus itself"
            )
        return self._alertmanager

    def now_s(self) -> float:
        """Return the present, in Unix seconds: what ``now`` and ``-1h`` are counted from."""
        return time.time()

    async def instant(
        self, query: str, *, limit: int, time_s: float | None = None, timeout_s: float | None = None
    ) -> InstantResult:
        """Evaluate an expression at one moment, by default Prometheus's own present. Raises ToolFailure."""
        answer = await self._http.query(
            "/api/v1/query",
            {
                "query": query,
                "time": _unix(time_s),
                "timeout": self._timeout(timeout_s),
                # One more than wanted tells whether there is more. Prometheus 2 ignores it and sends everything.
                "limit": limit + 1,
            },
        )
        with understood(VENDOR):
            data = _data(answer)
            kind = data["resultType"]
            samples = list(islice(decode.samples(kind, data["result"]), limit + 1))
            return InstantResult(
                query=query,
                kind=kind,
                samples=samples[:limit],
                truncated=len(samples) > limit,
                warnings=_warnings(answer),
            )

    async def range(
        self, query: str, *, start_s: float, end_s: float, step_s: float, limit: int, timeout_s: float | None = None
    ) -> Matrix:
        """Evaluate an expression at start, start + step, … end; at most ``limit`` series. Raises ToolFailure."""
        answer = await self._http.query(
            "/api/v1/query_range",
            {
                "query": query,
                "start": _unix(start_s),
                "end": _unix(end_s),
                "step": f"{step_s:.3f}",
                "timeout": self._timeout(timeout_s),
                "limit": limit + 1,
            },
        )
        # An answer may hold half a million points: read beside the event loop, not on it.
        return await asyncio.to_thread(_matrix, answer, limit)

    async def exemplars(self, query: str, *, start_s: float, end_s: float, per_series: int) -> list[ExemplarSeries]:
        """Return the exemplars of the series that an expression reads, newest first. Raises ToolFailure."""
        answer = await self._http.get(
            "/api/v1/query_exemplars", {"query": query, "start": _unix(start_s), "end": _unix(end_s)}
        )
        with understood(VENDOR):
            return [decode.exemplars(entry, per_series) for entry in _data(answer) or []]

    async def label_names(self, match: Sequence[str], *, start_s: float, end_s: float) -> list[str]:
        """Return the label names of the series that match, all series when ``match`` is empty. Raises ToolFailure."""
        answer = await self._http.get("/api/v1/labels", _span(match, start_s, end_s))
        with understood(VENDOR):
            return decode.strings(_data(answer))

    async def label_values(self, label: str, match: Sequence[str], *, start_s: float, end_s: float) -> list[str]:
        """Return the values of a label on the series that match. Raises ToolFailure."""
        answer = await self._http.get(
            path("api", "v1", "label", label_in_path(label), "values"), _span(match, start_s, end_s)
        )
        with understood(VENDOR):
            return decode.strings(_data(answer))

    async def series(self, match: Sequence[str], *, start_s: float, end_s: float, limit: int) -> list[Labels]:
        """Return at most ``limit`` of the label sets that match. Raises ToolFailure."""
        answer = await self._http.get("/api/v1/series", {**_span(match, start_s, end_s), "limit": limit})
        with understood(VENDOR):
            return [decode.labels(found) for found in (_data(answer) or [])[:limit]]

    async def metadata(self, metric: str | None = None, *, per_metric: int) -> list[MetricMetadata]:
        """Return what exporters say about one metric or all, by name. Raises ToolFailure."""
        answer = await self._http.get("/api/v1/metadata", {"metric": metric, "limit_per_metric": per_metric})
        with understood(VENDOR):
            return [
                MetricMetadata(metric=name, type=entry["type"], help=entry["help"], unit=entry["unit"])
                for name, entries in sorted((_data(answer) or {}).items())
                for entry in entries[:per_metric]
            ]

    async def cardinality(self, limit: int) -> Cardinality:
        """Return what fills the head block. Raises ToolFailure."""
        answer = await self._http.get("/api/v1/status/tsdb", {"limit": limit})
        with understood(VENDOR):
            data = _data(answer)
            head = data["headStats"]

            def entries(field: str) -> list[CardinalityEntry]:
                return [CardinalityEntry(name=e["name"], count=e["value"]) for e in (data[field] or [])[:limit]]

            return Cardinality(
                series=head["numSeries"],
                chunks=head["chunkCount"],
                label_pairs=head.get("numLabelPairs"),
                oldest=_milliseconds(head["minTime"]),
                newest=_milliseconds(head["maxTime"]),
                series_by_metric=entries("seriesCountByMetricName"),
                series_by_label_pair=entries("seriesCountByLabelValuePair"),
                values_by_label=entries("labelValueCountByLabelName"),
                memory_bytes_by_label=entries("memoryInBytesByLabelName"),
            )

    async def parse(self, query: str) -> Any:
        """Return the syntax tree of an expression as Prometheus writes it. Raises ToolFailure."""
        try:
            answer = await self._http.get("/api/v1/parse_query", {"query": query})
        except NotFound:
            raise VendorRejected(
                "this Prometheus is older than 3 and cannot show the structure of a query; "
                "use format_query to check and lay out the expression"
            ) from None
        with understood(VENDOR):
            return _data(answer)

    async def format(self, query: str) -> str:
        """Return an expression laid out. Raises InvalidInput when it does not parse, and every other ToolFailure."""
        answer = await self._http.get("/api/v1/format_query", {"query": query})
        with understood(VENDOR):
            return decode.text(_data(answer))

    async def server_info(self) -> ServerInfo:
        """Return version, start, retention and configuration state. Raises ToolFailure."""
        build_answer, runtime_answer = await asyncio.gather(
            self._http.get("/api/v1/status/buildinfo"), self._http.get("/api/v1/status/runtimeinfo")
        )
        try:
            status = await self._alertmanager.status() if self._alertmanager else None
        except ToolFailure:
            status = None
        with understood(VENDOR):
            build, runtime = _data(build_answer), _data(runtime_answer)
            return ServerInfo(
                version=build["version"],
                revision=build["revision"],
                go_version=build["goVersion"],
                started=decode.known_moment(runtime["startTime"]),
                retention=runtime["storageRetention"],
                config_ok=runtime["reloadConfigSuccess"],
                config_loaded=decode.known_moment(runtime["lastConfigTime"]),
                wal_corruptions=runtime["corruptionCount"],
                alertmanager_version=status.version if status else None,
                alertmanager_cluster=status.cluster if status else None,
            )

    def _timeout(self, asked_s: float | None) -> str:
        """Return how long Prometheus may work: never longer than we wait for it."""
        return duration_text(self._timeout_s if asked_s is None else min(asked_s, self._timeout_s))


@asynccontextmanager
async def open_client(settings: PrometheusSettings) -> AsyncIterator[Prometheus]:
    """Yield the client for as long as the server runs."""
    tenant = {"X-Scope-OrgID": settings.tenant} if settings.tenant else {}
    async with open_http(
        settings.url,
        vendor=VENDOR,
        headers=tenant | _bearer(settings.token),
        auth=_basic(settings.username, settings.password),
        timeout_s=settings.timeout_s,
    ) as http:
        if settings.alertmanager_url is None:
            yield Prometheus(http, None, settings)
            return
        async with open_http(
            settings.alertmanager_url,
            vendor="Alertmanager",
            headers=tenant | _bearer(settings.alertmanager_token),
            auth=_basic(settings.alertmanager_username, settings.alertmanager_password),
            timeout_s=settings.timeout_s,
        ) as alertmanager:
            yield Prometheus(http, Alertmanager(alertmanager), settings)


def _bearer(token: SecretStr | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}


def _basic(username: str | None, password: SecretStr | None) -> httpx.BasicAuth | None:
    return httpx.BasicAuth(username, password.get_secret_value()) if username is not None and password else None


def _data(answer: Any) -> Any:
    if answer["status"] != "success":
        raise ValueError("a success is expected after a status below 300")
    return answer["data"]


def _warnings(answer: Mapping[str, Any]) -> list[str]:
    return decode.strings(answer.get("warnings")) + decode.strings(answer.get("infos"))


def _unix(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.3f}"


def _span(match: Sequence[str], start_s: float, end_s: float) -> dict[str, str | int | float | bool | list[str] | None]:
    return {"match[]": list(match), "start": _unix(start_s), "end": _unix(end_s)}


def _matrix(answer: Any, limit: int) -> Matrix:
    with understood(VENDOR):
        result = _data(answer)["result"]
        return Matrix([_series(s) for s in result[:limit]], len(result) > limit, _warnings(answer))


def _series(series: Any) -> Series:
    points = [(float(pair[0]), *decode.number(pair[1])) for pair in series.get("values", ())]
    return Series(decode.labels(series["metric"]), points, bool(series.get("histograms")))


def _milliseconds(value: Any) -> Any:
    """Return a time of the head block; an empty one has the ends of int64, which are no times."""
    return at(value / 1000) if 0 <= value < 2**48 else None
