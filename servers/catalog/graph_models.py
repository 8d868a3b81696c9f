"""What the tools about relations answer."""

from __future__ import annotations

from pydantic import Field

from servers._kit import Output


class RelationEdge(Output):
    """An edge that a walk went along, `depth` steps from where it began."""

    source: str
    type: str
    target: str
    depth: int
    exists: bool


class Node(Output):
    """An entity in a graph."""

    ref: str
    exists: bool
    kind: str
    type: str | None
    owner: str | None
    tier: str | None
    depth: int


class Graph(Output):
    """Everything that a walk reached."""

    start: str
    nodes: list[Node]
    edges: list[RelationEdge]
    truncated: bool = Field(description="True when max_nodes or depth left something out.")


class OwnerImpact(Output):
    """What one owner would notice."""

    owner: str | None
    count: int
    refs: list[str]


class TierImpact(Output):
    """What would be hit in one tier; tier 1 matters most."""

    tier: str | None
    count: int
    refs: list[str]


class ImpactReport(Output):
    """What may break when an entity does: everything that depends on it, directly or not."""

    ref: str
    total: int
    direct: int
    by_owner: list[OwnerImpact]
    by_tier: list[TierImpact]
    affected: list[Node]
    truncated: bool


class Path(Output):
    """One shortest way from an entity to another."""

    length: int
    refs: list[str]
    edges: list[RelationEdge]
