"""Alertmanager's API v2 over the alerts that the rules fire: grouped, routed by severity, silenced for real."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from servers.prometheus.emulator.monitor import Monitor
from servers.prometheus.emulator.parameters import Parameters, moment_ms, rfc3339
from servers.prometheus.emulator.promql.matchers import Matcher, all_match, compiled, matcher
from servers.prometheus.emulator.promql.printer import text as query_text
from servers.prometheus.emulator.silences import BadSilence, NoSuchSilence, Silence, Silences, draft_of

MAX_BODY_BYTES = 262_144
GROUP_BY = ("alertname", "service")
DEFAULT_RECEIVER = "team-chat"
RECEIVERS = {"critical": "pager"}
"""Which receiver an alert's severity goes to; all others go to DEFAULT_RECEIVER."""

VERSION = "0.28.1"
_ALIVE_FOR_MS = 240_000
_FILTER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"]*?))\s*', re.DOTALL)
_REQUIRED = ("comment", "createdBy", "endsAt", "matchers", "startsAt")


@dataclass(frozen=True, slots=True)
class _Alert:
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fired_ms: int
    query: str
    silenced_by: Sequence[str]

    @property
    def receiver(self) -> str:
        return RECEIVERS.get(self.labels.get("severity", ""), DEFAULT_RECEIVER)


class AlertmanagerApi:
    """The application. ``prometheus_url`` appears in the alerts as where they come from."""

    def __init__(self, monitor: Monitor, silences: Silences, prometheus_url: str) -> None:
        self._monitor = monitor
        self._silences = silences
        self._prometheus_url = prometheus_url

    def app(self) -> Starlette:
        """Return the ASGI application."""
        silence = "/api/v2/silence/{silence_id}"
        errors = {BadSilence: _bad_request, NoSuchSilence: _unknown}
        return Starlette(
            routes=[
                Route("/api/v2/status", self._status),
                Route("/api/v2/receivers", self._receivers),
                Route("/api/v2/alerts", self._alerts),
                Route("/api/v2/alerts/groups", self._groups),
                Route("/api/v2/silences", self._list_silences, methods=["GET"]),
                Route("/api/v2/silences", self._post_silence, methods=["POST"]),
                Route(silence, self._get_silence, methods=["GET"]),
                Route(silence, self._delete_silence, methods=["DELETE"]),
                Route("/-/ready", _ok),
                Route("/-/healthy", _ok),
            ],
            exception_handlers=cast("Any", errors),
        )

    async def _status(self, _request: Request) -> Response:
        config = f"route:\n  receiver: {DEFAULT_RECEIVER}\n  group_by: [{', '.join(GROUP_BY)}]\n"
        unknown = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "emulator")
        return JSONResponse(
            {
                "cluster": {"status": "disabled", "peers": []},
                "versionInfo": {"version": VERSION, **unknown},
                "config": {"original": config},
                "uptime": rfc3339(self._monitor.started_s * 1_000),
            }
        )

    async def _receivers(self, _request: Request) -> Response:
        return JSONResponse([{"name": name} for name in (*RECEIVERS.values(), DEFAULT_RECEIVER)])

    async def _alerts(self, request: Request) -> Response:
        found = await self._found(await Parameters.of(request))
        return JSONResponse([self._alert(alert) for alert in found])

    async def _groups(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        groups: dict[tuple[str, ...], list[_Alert]] = {}
        for alert in await self._found(parameters):
            key = (alert.receiver, *(alert.labels.get(name, "") for name in GROUP_BY))
            groups.setdefault(key, []).append(alert)
        answer = []
        for (receiver, *values), alerts in sorted(groups.items()):
            if not _wanted(parameters, "muted") and all(alert.silenced_by for alert in alerts):
                continue
            answer.append(
                {
                    "labels": {name: value for name, value in zip(GROUP_BY, values, strict=True) if value},
                    "routeLabels": {},
                    "receiver": {"name": receiver},
                    "alerts": [self._alert(alert) for alert in alerts],
                }
            )
        return JSONResponse(answer)

    async def _found(self, parameters: Parameters) -> list[_Alert]:
        wanted = [_filter(text) for text in parameters.all("filter")]
        pattern = parameters.text("receiver")
        try:
            receiver = compiled(pattern) if pattern else None
        except ValueError as error:
            raise BadSilence(f"failed to parse receiver param: {error}") from None
        await asyncio.to_thread(self._monitor.catch_up)
        return sorted(
            (
                alert
                for alert in self._firing()
                if all_match(wanted, tuple(alert.labels.items()))
                and (receiver is None or receiver.fullmatch(alert.receiver))
                and _wanted(parameters, "silenced" if alert.silenced_by else "active")
            ),
            key=lambda alert: _fingerprint(alert.labels),
        )

    def _firing(self) -> Iterator[_Alert]:
        for _, rule, alert in self._monitor.rules.alerts():
            if alert.fired_ms is not None:
                labels = dict(alert.labels)
                silenced_by = self._silences.silencing(labels)
                yield _Alert(labels, alert.annotations, alert.fired_ms, query_text(rule.rule.node), silenced_by)

    def _alert(self, alert: _Alert) -> dict[str, Any]:
        now_ms = self._monitor.now_ms
        return {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "receivers": [{"name": alert.receiver}],
            "fingerprint": _fingerprint(alert.labels),
            "startsAt": rfc3339(alert.fired_ms),
            "updatedAt": rfc3339(now_ms),
            "endsAt": rfc3339(now_ms + _ALIVE_FOR_MS),
            "generatorURL": f"{self._prometheus_url}/graph?g0.expr={quote(alert.query, safe='')}&g0.tab=1",
            "status": {
                "state": "suppressed" if alert.silenced_by else "active",
                "silencedBy": list(alert.silenced_by),
                "inhibitedBy": [],
                "mutedBy": [],
            },
        }

    async def _list_silences(self, request: Request) -> Response:
        parameters = await Parameters.of(request)
        wanted = [_filter(text) for text in parameters.all("filter")]
        now_ms = self._monitor.now_ms
        return JSONResponse(
            [
                _silence(silence, now_ms)
                for silence in self._silences.all()
                if _selected(silence, wanted) and _wanted(parameters, silence.state(now_ms))
            ]
        )

    async def _post_silence(self, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw) if len(raw) <= MAX_BODY_BYTES else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return JSONResponse({"code": 400, "message": "parsing silence body failed: want a JSON object"}, 400)
        missing = next((name for name in _REQUIRED if body.get(name) is None), None)
        if missing is not None:
            return JSONResponse({"code": 602, "message": f"{missing} in body is required"}, 422)
        if not isinstance(body["matchers"], list) or not body["matchers"]:
            return JSONResponse({"code": 612, "message": "matchers in body should have at least 1 items"}, 422)
        draft = draft_of(body, moment_ms)
        return JSONResponse({"silenceID": await asyncio.to_thread(self._silences.put, draft)})

    async def _get_silence(self, request: Request) -> Response:
        silence_id = _uuid(request)
        if silence_id is None:
            return _not_a_uuid(request)
        return JSONResponse(_silence(self._silences.get(silence_id), self._monitor.now_ms))

    async def _delete_silence(self, request: Request) -> Response:
        silence_id = _uuid(request)
        if silence_id is None:
            return _not_a_uuid(request)
        await asyncio.to_thread(self._silences.expire, silence_id)
        return Response(status_code=200)


async def _ok(_request: Request) -> Response:
    return PlainTextResponse("OK")


async def _bad_request(_request: Request, error: Exception) -> Response:
    return JSONResponse(str(error), 400)


async def _unknown(_request: Request, error: Exception) -> Response:
    return JSONResponse(str(error), 404)


def _uuid(request: Request) -> str | None:
    try:
        return str(uuid.UUID(request.path_params["silence_id"]))
    except ValueError:
        return None


def _not_a_uuid(request: Request) -> Response:
    text = json.dumps(request.path_params["silence_id"])
    return JSONResponse({"code": 601, "message": f"silenceID in path must be of type uuid: {text}"}, 422)


def _wanted(parameters: Parameters, state: str) -> bool:
    return parameters.text(state).lower() not in {"false", "0"}


def _filter(text: str) -> Matcher:
    found = _FILTER.fullmatch(text)
    if found is None:
        raise BadSilence(f"bad matcher format: {text}")
    name, operator, quoted, bare = found.groups()
    value = re.sub(r"\\(.)", lambda e: "\n" if e.group(1) == "n" else e.group(1), quoted) if bare is None else bare
    try:
        return matcher(name, operator, value)
    except ValueError as error:
        raise BadSilence(str(error)) from None


def _selected(silence: Silence, wanted: Sequence[Matcher]) -> bool:
    """Say whether a silence has, for every filter, a matcher whose label and value satisfy it."""
    values = {m.name: m.value for m in silence.matchers}
    return all(m.name in values and m.matches(values[m.name]) for m in wanted)


def _silence(silence: Silence, now_ms: int) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now_ms)},
        "matchers": [
            {"name": m.name, "value": m.value, "isRegex": "~" in m.operator, "isEqual": m.operator[0] == "="}
            for m in silence.matchers
        ],
        "startsAt": rfc3339(silence.starts_ms),
        "endsAt": rfc3339(silence.ends_ms),
        "updatedAt": rfc3339(silence.updated_ms),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "annotations": {},
    }


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]
