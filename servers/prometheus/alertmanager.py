"""Alertmanager's API v2 in the words of our tools: the only file that knows its addresses and fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from servers._kit import ToolFailure
from servers._kit.http import Http, path
from servers.prometheus import decode
from servers.prometheus.decode import understood
from servers.prometheus.matchers import Matcher, Operator
from servers.prometheus.models_alerts import AlertGroup, Deleted, GroupedAlert, Silence

VENDOR = "Alertmanager"
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Status:
    """What answers."""

    version: str
    cluster: str


class Alertmanager:
    """A connection to one Alertmanager."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def status(self) -> Status:
        """Return version and cluster state. Raises ToolFailure."""
        answer = await self._http.get("/api/v2/status")
        with understood(VENDOR):
            return Status(decode.text(answer["versionInfo"]["version"]), decode.text(answer["cluster"]["status"]))

    async def groups(self, matchers: Sequence[Matcher], *, silenced: bool, per_group: int) -> list[AlertGroup]:
        """Return the alerts that match, by notification group. Raises ToolFailure."""
        answer = await self._http.get(
            "/api/v2/alerts/groups", {"filter": [str(m) for m in matchers], "silenced": silenced}
        )
        with understood(VENDOR):
            return [_group(g, per_group) for g in answer]

    async def silences(self, matchers: Sequence[Matcher]) -> list[Silence]:
        """Return the silences of every state that match. Raises ToolFailure."""
        answer = await self._http.get("/api/v2/silences", {"filter": [str(m) for m in matchers]})
        with understood(VENDOR):
            return [_silence(s) for s in answer]

    async def silence(self, silence_id: str) -> Silence:
        """Return one silence. Raises NotFound and every other ToolFailure."""
        answer = await self._http.get(path("api", "v2", "silence", silence_id))
        with understood(VENDOR):
            return _silence(answer)

    async def create_silence(
        self, matchers: Sequence[Matcher], *, starts: datetime, ends: datetime, created_by: str, comment: str
    ) -> str:
        """Store a silence and return its id. Raises ToolFailure."""
        body = {
            "matchers": [
                {"name": m.name, "value": m.value, "isRegex": m.op in {"=~", "!~"}, "isEqual": m.op in {"=", "=~"}}
                for m in matchers
            ],
            "startsAt": starts.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": created_by,
            "comment": comment,
        }
        answer = await self._http.send("POST", "/api/v2/silences", body=body)
        with understood(VENDOR):
            return decode.text(answer["silenceID"])

    async def expire_silence(self, silence_id: str) -> Deleted:
        """End a silence that may be over already. Raises NotFound and every other ToolFailure."""
        found = await self.silence(silence_id)
        if found.state != EXPIRED:
            try:
                await self._http.send("DELETE", path("api", "v2", "silence", silence_id))
            except ToolFailure:
                # It may have ended between the two requests (an error for Alertmanager), or the answer was lost.
                if (await self.silence(silence_id)).state != EXPIRED:
                    raise
        return Deleted(id=silence_id, already_expired=found.state == EXPIRED, created_by=found.created_by)


def _group(group: Any, per_group: int) -> AlertGroup:
    alerts = group["alerts"]
    return AlertGroup(
        receiver=group["receiver"]["name"],
        labels=decode.labels(group["labels"]),
        alerts=[_alert(a) for a in alerts[:per_group]],
        truncated=len(alerts) > per_group,
    )


def _alert(alert: Any) -> GroupedAlert:
    found = decode.labels(alert["labels"])
    status = alert["status"]
    return GroupedAlert(
        name=found.get("alertname", ""),
        state=status["state"],
        labels=found,
        annotations=decode.labels(alert["annotations"]),
        since=decode.known_moment(alert["startsAt"]),
        silenced_by=decode.strings(status["silencedBy"]),
        inhibited_by=decode.strings(status["inhibitedBy"]),
        fingerprint=alert["fingerprint"],
    )


def _silence(silence: Any) -> Silence:
    return Silence(
        id=silence["id"],
        state=silence["status"]["state"],
        matchers=[_matcher(m) for m in silence["matchers"]],
        starts=decode.known_moment(silence["startsAt"]),
        ends=decode.known_moment(silence["endsAt"]),
        created_by=silence["createdBy"],
        comment=silence["comment"],
    )


def _matcher(matcher: Any) -> str:
    # isEqual is absent in the answers of Alertmanagers before 0.22, where every matcher is a positive one.
    negative, regex = matcher.get("isEqual") is False, matcher["isRegex"] is True
    op: Operator = "!~" if negative and regex else "!=" if negative else "=~" if regex else "="
    return str(Matcher(decode.text(matcher["name"]), op, decode.text(matcher["value"])))
