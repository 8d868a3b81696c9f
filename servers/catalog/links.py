"""How an entity is called in other tools: the annotations of Backstage's plugins, and links by their type."""

from __future__ import annotations

import json
import re

from servers.catalog.contract import Entity
from servers.catalog.models import Link, ToolLinks
from servers.catalog.views import links

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def tool_links(entity: Entity) -> ToolLinks:
    """Return the join keys of an entity. Only identifiers and addresses: integration keys are never among them."""
    notes, shown = entity.annotations, links(entity)
    labels = prometheus_labels(notes.get("prometheus.io/labels", ""))
    source = notes.get("backstage.io/source-location") or notes.get("backstage.io/view-url")
    return ToolLinks(
        ref=entity.ref,
        gitlab_project=notes.get("gitlab.com/project-slug") or notes.get("gitlab.com/project-id"),
        sentry_project=notes.get("sentry.io/project-slug"),
        jira_project=notes.get("jira/project-key"),
        jira_component=notes.get("jira/component"),
        prometheus_labels=labels,
        prometheus_selector=_selector(labels),
        pagerduty_service=notes.get("pagerduty.com/service-id"),
        source=source.removeprefix("url:") if source else None,
        runbooks=_addresses(entity, shown, "runbook"),
        dashboards=_addresses(entity, shown, "dashboard"),
        docs=_addresses(entity, shown, "docs", "documentation"),
        links=shown,
    )


def prometheus_labels(text: str) -> dict[str, str]:
    """Return ``service=a,env=b`` as a mapping; what is no label is left out."""
    found = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if equals and _LABEL.fullmatch(name.strip()) and value.strip():
            found[name.strip()] = value.strip().strip('"')
    return found


def _selector(labels: dict[str, str]) -> str | None:
    if not labels:
        return None
    # A JSON string is a PromQL string: the same escapes.
    return "{" + ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"


def _addresses(entity: Entity, shown: list[Link], *words: str) -> list[str]:
    """Return the addresses of annotations whose name, and of links whose type, title or icon, has one of the words."""
    found = [
        value
        for key, value in entity.annotations.items()
        if value.startswith(("https://", "http://")) and any(word in key.rpartition("/")[2].lower() for word in words)
    ]
    found += [link.url for link in shown if any(word in f"{link.type} {link.title}".lower() for word in words)]
    return list(dict.fromkeys(found))
