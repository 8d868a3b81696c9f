"""Recording and alerting rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from servers._kit import InvalidInput, Page, tool
from servers.prometheus.client import Prometheus
from servers.prometheus.discovery import RuleType
from servers.prometheus.inputs import PageToken
from servers.prometheus.models_alerts import Rule

GROUPS_PER_REQUEST = 100
MAX_REQUESTS = 10


@tool(effect="read", scope="prometheus:read")
async def list_rules(
    client: Prometheus,
    type: RuleType | None = None,  # noqa: A002
    group: Annotated[str | None, Field(max_length=300)] = None,
    name: Annotated[str | None, Field(max_length=300, description="Alert name, or metric that is recorded.")] = None,
    state: Annotated[
        Literal["inactive", "pending", "firing"] | None, Field(description="Of alerting rules only.")
    ] = None,
    page: PageToken = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Page[Rule]:
    """List alerting and recording rules with their PromQL expression, state, health and annotations.

    For what is alerted on, thresholds, broken rules. For one alert use explain_alert.
    """
    skip, token = _position(page)
    found: list[Rule] = []
    for _ in range(MAX_REQUESTS):
        chunk = await client.discovery.rules(
            rule_type=type, name=name, group=group, group_limit=GROUPS_PER_REQUEST, token=token
        )
        rules = [r.rule for r in chunk.rules if state is None or r.rule.state == state]
        taken = rules[skip : skip + limit - len(found)]
        found += taken
        if skip + len(taken) < len(rules):
            return _page(found, skip + len(taken), token)
        if chunk.next_token is None:
            whole = token is None and page is None
            return Page(items=found, total=len(found) if whole else None)
        skip, token = 0, chunk.next_token
        if len(found) == limit:
            break
    return _page(found, 0, token)


def _page(found: list[Rule], skip: int, token: str | None) -> Page[Rule]:
    """Return a page whose token is our position within the groups that Prometheus's own token names."""
    return Page(items=found, next_page=f"{skip}:{token or ''}", truncated=True)


def _position(page: str | None) -> tuple[int, str | None]:
    if page is None:
        return 0, None
    skip, colon, token = page.partition(":")
    if not (colon and skip.isascii() and skip.isdigit() and len(skip) < 10):
        raise InvalidInput("page is not a token from next_page; leave it out for the first page")
    return int(skip), token or None
