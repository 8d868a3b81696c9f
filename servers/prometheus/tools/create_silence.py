"""Mute alerts for a while."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import InvalidInput, tool
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Duration, Moment
from servers.prometheus.models_alerts import Silence
from servers.prometheus.moments import at, duration_s, duration_text, moment_s
from shared_auth.principal import Principal

MAX_AHEAD_S = 30 * 86_400.0
# Two clocks never agree; "now" as we know it may be a moment ago by the time it arrives.
CLOCK_SKEW_S = 60.0


@tool(effect="write", scope="prometheus:write", idempotent=False)
async def create_silence(
    client: Prometheus,
    principal: Principal,
    matchers: Annotated[
        list[Annotated[str, Field(max_length=2_000)]],
        Field(min_length=1, max_length=20, description='All must hold; one must be exact: `alertname="HighLatency"`.'),
    ],
    duration: Duration,
    comment: Annotated[str, Field(min_length=3, max_length=1_000, description="Why, for the people on call.")],
    start: Annotated[Moment, Field(description=f"For a planned maintenance. {WHEN}")] = "now",
) -> Silence:
    """Silence alerts in Alertmanager for a limited time: mute notifications during maintenance or a known incident.

    Signed with the caller's name. End it early with expire_silence.
    """
    parsed = [m.parse(text) for text in matchers]
    # `alertname=~".+"` alone would mute the whole company.
    if not any(matcher.op == "=" and matcher.value for matcher in parsed):
        raise InvalidInput('matchers: at least one must be exact, such as alertname="HighLatency" or service="api"')
    length_s = duration_s(duration)
    if length_s > client.max_silence_s:
        raise InvalidInput(f"duration: at most {duration_text(client.max_silence_s)} on this server")
    now_s = client.now_s()
    starts_s = moment_s(start, now_s, name="start")
    if not now_s - CLOCK_SKEW_S <= starts_s <= now_s + MAX_AHEAD_S:
        raise InvalidInput(f"start: must be between now and {duration_text(MAX_AHEAD_S)} ahead")
    starts, ends = at(starts_s), at(starts_s + length_s)
    author = principal.email or principal.subject
    silence_id = await client.alertmanager.create_silence(
        parsed, starts=starts, ends=ends, created_by=author, comment=comment
    )
    # Written here rather than read back: a failing second request would look as if nothing had been silenced.
    return Silence(
        id=silence_id,
        state="pending" if starts_s > now_s else "active",
        matchers=[str(matcher) for matcher in parsed],
        starts=starts,
        ends=ends,
        created_by=author,
        comment=comment,
    )
