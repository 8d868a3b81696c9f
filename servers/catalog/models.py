"""What the tools answer: small, flat, every field always present. Times are not among them: a catalog has none."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from servers._kit import Output


class Link(Output):
    """A web address that an entity names."""

    url: str
    title: str | None
    type: str | None


class RelationView(Output):
    """One edge of an entity; `exists` is false when the target is not in the catalog."""

    type: str
    target: str
    exists: bool


class EntitySummary(Output):
    """An entity in a list."""

    ref: str
    kind: str
    name: str
    title: str | None
    description: str | None
    type: str | None
    lifecycle: str | None
    owner: str | None = Field(description="Ref of the owner.")
    system: str | None = Field(description="Ref of the system.")
    tier: str | None
    tags: list[str]
    fields: dict[str, Any] = Field(description="The values of `fields`, by path; null where there is none.")


class EntityHit(Output):
    """An entity that a search found."""

    ref: str
    kind: str
    name: str
    title: str | None
    description: str | None
    type: str | None
    owner: str | None
    score: float
    matched: list[str] = Field(description="Where the words were found.")


class Entity(Output):
    """A whole entity. With `fields`, labels, annotations, links, spec and relations are left empty."""

    ref: str
    kind: str
    namespace: str
    name: str
    title: str | None
    description: str | None
    type: str | None
    lifecycle: str | None
    owner: str | None
    system: str | None
    domain: str | None
    tier: str | None
    tags: list[str]
    labels: dict[str, str]
    annotations: dict[str, str]
    links: list[Link]
    spec: dict[str, Any]
    relations: list[RelationView]
    fields: dict[str, Any]
    omitted: list[str] = Field(description="Paths left out because they are long; ask for them with `fields`.")


class FacetCount(Output):
    """How many entities have a value in a field."""

    facet: str
    value: str
    count: int


class PersonRef(Output):
    """A person, briefly."""

    ref: str
    name: str | None
    email: str | None


class Owner(Output):
    """Who answers for an entity, and how to reach them."""

    ref: str
    exists: bool
    kind: str
    name: str
    title: str | None
    description: str | None
    email: str | None
    parent: str | None
    members: list[PersonRef]
    links: list[Link] = Field(description="Chat, on-call and other contact links.")


class Group(Output):
    """A team and its place in the organisation."""

    ref: str
    name: str
    title: str | None
    description: str | None
    type: str | None
    email: str | None
    parent: str | None
    children: list[str]
    members: list[PersonRef]
    links: list[Link]
    owned: int = Field(description="Number of entities it owns; list_owned_entities has them.")


class Person(Output):
    """A person with their teams and what those own."""

    ref: str
    name: str | None
    email: str | None
    title: str | None
    groups: list[str]
    owns: list[str] = Field(
        description="Refs of components, APIs, systems and resources of the person or their groups."
    )
    owns_total: int


class ApiSummary(Output):
    """An API in a list."""

    ref: str
    name: str
    title: str | None
    description: str | None
    type: str | None
    lifecycle: str | None
    owner: str | None
    system: str | None
    providers: list[str]
    consumers: int


class SystemView(Output):
    """A system and its parts."""

    ref: str
    title: str | None
    description: str | None
    owner: str | None
    domain: str | None
    components: list[EntitySummary]
    apis: list[EntitySummary]
    resources: list[EntitySummary]
    other: list[EntitySummary]
    truncated: bool


class SystemRef(Output):
    """A system, briefly."""

    ref: str
    title: str | None
    owner: str | None
    parts: int


class DomainNode(Output):
    """A domain with its systems."""

    ref: str
    title: str | None
    description: str | None
    owner: str | None
    parent: str | None
    subdomains: list[str]
    systems: list[SystemRef]


class DomainTree(Output):
    """Every domain, and the systems that belong to none."""

    domains: list[DomainNode]
    systems_without_domain: list[SystemRef]


class ToolLinks(Output):
    """How an entity is called in other tools; null where it does not say."""

    ref: str
    gitlab_project: str | None
    sentry_project: str | None
    jira_project: str | None
    jira_component: str | None
    prometheus_labels: dict[str, str]
    prometheus_selector: str | None = Field(description='Ready for PromQL, such as {service="checkout-api"}.')
    pagerduty_service: str | None
    source: str | None
    runbooks: list[str]
    dashboards: list[str]
    docs: list[str]
    links: list[Link]


class CheckView(Output):
    """A check that entities are measured by."""

    id: str
    name: str
    description: str
    kinds: list[str]
    types: list[str]


class CheckResult(Output):
    """The verdict of one check on one entity."""

    ref: str
    check: str
    name: str
    passed: bool
    reason: str
