"""The part of the HTTP API that evaluates queries, and that reads them: format and parse."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from servers.prometheus.emulator.answers import TRUNCATED, guarded, not_found, success
from servers.prometheus.emulator.monitor import Monitor
from servers.prometheus.emulator.numbers import number_text
from servers.prometheus.emulator.parameters import BadParameter, Parameters
from servers.prometheus.emulator.promql.checks import type_of
from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector
from servers.prometheus.emulator.promql.nodes import TYPE_TEXT, Node
from servers.prometheus.emulator.promql.printer import pretty
from servers.prometheus.emulator.promql.syntax import selectors_of, tree
from servers.prometheus.emulator.storage import Samples

MAX_POINTS = 11_000
_METHODS = ["GET", "POST"]


class QueryApi:
    """Handlers of the addresses under ``/api/v1`` that take a query."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/query", guarded(self._query), methods=_METHODS),
            Route("/api/v1/query_range", guarded(self._query_range), methods=_METHODS),
            Route("/api/v1/query_exemplars", guarded(self._query_exemplars), methods=_METHODS),
            Route("/api/v1/format_query", guarded(self._format_query), methods=_METHODS),
            Route("/api/v1/parse_query", guarded(self._parse_query), methods=_METHODS),
        ]

    async def _query(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        time_ms = _time(parameters, self._monitor.now_ms)
        if parameters.text("timeout"):
            parameters.duration_ms("timeout")
        limit = parameters.count("limit") if self._monitor.release.is_3 else 0
        node = parameters.query()
        value = await asyncio.to_thread(self._instant, node, time_ms)
        return _instant_answer(node, value, time_ms, limit)

    def _instant(self, node: Node, time_ms: int) -> Vector | Scalar | str | list[Samples]:
        self._monitor.catch_up()
        return self._monitor.engine.instant(node, time_ms)

    async def _query_range(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        steps = _steps(parameters)
        if parameters.text("timeout"):
            parameters.duration_ms("timeout")
        limit = parameters.count("limit") if self._monitor.release.is_3 else 0
        node = parameters.query()
        if type_of(node) not in {"vector", "scalar"}:
            text = f'invalid expression type "{TYPE_TEXT[type_of(node)]}" for range query'
            raise BadParameter(f"{text}, must be Scalar or instant Vector")
        columns = await asyncio.to_thread(self._over, node, steps)
        columns.sort(key=lambda column: column.labels)
        kept = columns[:limit] if limit else columns
        result = [_range_series(column, steps) for column in kept]
        warnings = [TRUNCATED] if len(kept) < len(columns) else None
        return success({"resultType": "matrix", "result": result}, warnings=warnings)

    def _over(self, node: Node, steps: Steps) -> Vector:
        self._monitor.catch_up()
        return self._monitor.engine.over(node, steps)

    async def _query_exemplars(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        start_ms, end_ms = parameters.time_ms("start", 0), parameters.time_ms("end", self._monitor.now_ms)
        if end_ms < start_ms:
            raise BadParameter("end timestamp must not be before start timestamp")
        found = []
        for selector in selectors_of(parameters.query()):
            for labels, exemplars in self._monitor.metrics.exemplars(selector.matchers, start_ms / 1e3, end_ms / 1e3):
                rows = [
                    {"labels": dict(e.labels), "value": number_text(e.value), "timestamp": _seconds(e.time_s)}
                    for e in exemplars
                ]
                found.append({"seriesLabels": dict(labels), "exemplars": rows})
        return success(found)

    async def _format_query(self, request: Request) -> Response:
        return success(pretty((await Parameters.of(request)).query()))

    async def _parse_query(self, request: Request) -> Response:
        if not self._monitor.release.is_3:
            return not_found()
        return success(tree((await Parameters.of(request)).query()))


def _time(parameters: Parameters, now_ms: int) -> int:
    try:
        return parameters.time_ms("time", now_ms)
    except BadParameter as error:
        reason = str(error).split(": ", 1)[1]
        raise BadParameter(f"invalid parameter \"time\": Invalid time value for 'time': {reason}") from None


def _steps(parameters: Parameters) -> Steps:
    start_ms, end_ms = parameters.time_ms("start"), parameters.time_ms("end")
    if end_ms < start_ms:
        raise BadParameter('invalid parameter "end": end timestamp must not be before start time')
    step_ms = parameters.duration_ms("step")
    if step_ms <= 0:
        text = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise BadParameter(f'invalid parameter "step": {text}')
    if (end_ms - start_ms) // step_ms > MAX_POINTS:
        text = "exceeded maximum resolution of 11,000 points per timeseries. "
        raise BadParameter(text + "Try decreasing the query resolution (?step=XX)")
    return Steps(start_ms, step_ms, (end_ms - start_ms) // step_ms + 1)


def _instant_answer(node: Node, value: Vector | Scalar | str | list[Samples], time_ms: int, limit: int) -> Response:
    at = _seconds(time_ms / 1_000)
    if isinstance(value, str):
        return success({"resultType": "string", "result": [at, value]})
    if isinstance(value, Scalar):
        return success({"resultType": "scalar", "result": [at, number_text(value.values[0])]})
    kept = value[:limit] if limit else value
    rows = [_instant_series(series, at) for series in kept]
    warnings = [TRUNCATED] if len(kept) < len(value) else None
    return success({"resultType": type_of(node), "result": rows}, warnings=warnings)


def _instant_series(series: Column | Samples, at: float) -> dict[str, Any]:
    if isinstance(series, Samples):
        return {"metric": dict(series.labels), "values": _points(series.times_ms, series.values)}
    value = series.values[0]
    return {"metric": dict(series.labels), "value": [at, "" if value is None else number_text(value)]}


def _range_series(column: Column, steps: Steps) -> dict[str, Any]:
    return {"metric": dict(column.labels), "values": _points(steps.times_ms, column.values)}


def _points(times_ms: Sequence[int], values: Sequence[float | None]) -> list[list[Any]]:
    return [
        [_seconds(ms / 1_000), number_text(value)]
        for ms, value in zip(times_ms, values, strict=True)
        if value is not None
    ]


def _seconds(value: float) -> float:
    return int(value) if value == int(value) else value
