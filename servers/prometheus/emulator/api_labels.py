"""The part of the HTTP API that lists what there is: labels, values, series, metadata."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from servers.prometheus.emulator.answers import TRUNCATED, guarded, success
from servers.prometheus.emulator.monitor import Monitor
from servers.prometheus.emulator.parameters import BadParameter, Parameters
from servers.prometheus.emulator.promql.labels import NAME, Labels
from servers.prometheus.emulator.promql.matchers import Matcher
from servers.prometheus.emulator.synthetic import metadata

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EVERYTHING = (Matcher(NAME, "!=", ""),)


class LabelApi:
    """Handlers of the addresses under ``/api/v1`` that list labels and series."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/labels", guarded(self._labels), methods=["GET", "POST"]),
            Route("/api/v1/label/{name}/values", guarded(self._label_values)),
            Route("/api/v1/series", guarded(self._series), methods=["GET", "POST"]),
            Route("/api/v1/metadata", guarded(self._metadata)),
        ]

    async def _labels(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        found = await self._found(parameters)
        return self._listed(parameters, sorted({name for labels in found for name, _ in labels}))

    async def _label_values(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        name = request.path_params["name"]
        if _LABEL.fullmatch(name) is None:
            raise BadParameter(f'invalid label name: "{name}"')
        found = await self._found(parameters)
        return self._listed(parameters, sorted({value for labels in found for key, value in labels if key == name}))

    async def _series(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        if not parameters.all("match[]"):
            raise BadParameter("no match[] parameter provided")
        found = await self._found(parameters)
        return self._listed(parameters, [dict(labels) for labels in sorted(found)])

    async def _metadata(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        limit, per_metric = _number(parameters, "limit"), _number(parameters, "limit_per_metric")
        wanted = parameters.text("metric")
        found: dict[str, list[dict[str, str]]] = {}
        for target in self._monitor.targets:
            for name, entry in metadata(target.families).items():
                entries = found.setdefault(name, [])
                if entry not in entries and (per_metric < 0 or len(entries) < per_metric):
                    entries.append(entry)
        names = [name for name in sorted(found) if not wanted or name == wanted]
        return success({name: found[name] for name in (names if limit < 0 else names[:limit])})

    def _listed(self, parameters: Parameters, found: list[Any]) -> Response:
        limit = parameters.count("limit") if self._monitor.release.is_3 else 0
        if not limit or len(found) <= limit:
            return success(found)
        return success(found[:limit], warnings=[TRUNCATED])

    async def _found(self, parameters: Parameters) -> set[Labels]:
        """Return the label sets of all series that match and have samples in the window."""
        now_ms = self._monitor.now_ms
        start_ms, end_ms = parameters.time_ms("start", 0), parameters.time_ms("end", now_ms)
        matchers = [s.matchers for s in parameters.selectors()] or [_EVERYTHING]
        return await asyncio.to_thread(self._select, matchers, start_ms, min(end_ms, now_ms))

    def _select(self, matchers: Iterable[tuple[Matcher, ...]], start_ms: int, end_ms: int) -> set[Labels]:
        self._monitor.catch_up()
        select = self._monitor.engine.storage.label_sets
        return {labels for wanted in matchers for labels in select(wanted, start_ms, end_ms)}


def _number(parameters: Parameters, name: str) -> int:
    text = parameters.text(name)
    try:
        return int(text) if text else -1
    except ValueError:
        raise BadParameter(f"{name} must be a number") from None
