"""What a walk found, as the tools show it: nodes, edges, paths, and the impact report."""

from __future__ import annotations

from collections.abc import Sequence

from servers.catalog import views
from servers.catalog.contract import Catalog, Entity
from servers.catalog.graph import DEPENDENTS, Edge, Walk, walk
from servers.catalog.graph_models import ImpactReport, Node, OwnerImpact, Path, RelationEdge, TierImpact

MAX_AFFECTED = 500
MAX_PARTS = 1_000


def edge_views(found: Walk) -> list[RelationEdge]:
    """Return the edges of a walk, nearest first."""
    return [_edge(found, edge) for edge in found.edges]


def node_views(catalog: Catalog, found: Walk) -> list[Node]:
    """Return the nodes of a walk, nearest first."""
    return [_node(catalog, found, ref) for ref in found.nodes]


def path_view(found: Walk, path: Sequence[Edge]) -> Path:
    """Return a path that is not empty."""
    return Path(
        length=len(path),
        refs=[path[0].source, *(edge.target for edge in path)],
        edges=[_edge(found, edge) for edge in path],
    )


async def impact(catalog: Catalog, entity: Entity, *, depth: int) -> ImpactReport:
    """Return what depends on an entity; what depends on a system or domain is what depends on its parts."""
    start = await _parts(catalog, entity)
    inside = {part.ref for part in start}
    found = await walk(catalog, start, DEPENDENTS, depth=depth, max_nodes=MAX_AFFECTED + len(start))
    # The APIs that a component provides fail with it, but they are the way to those who notice, not some of them.
    affected = [
        node
        for node in node_views(catalog, found)
        if node.ref not in inside and not (node.kind == "api" and _own_api(found, node.ref))
    ]
    return ImpactReport(
        ref=entity.ref,
        total=len(affected),
        direct=sum(1 for node in affected if _hops(found, node.ref) <= 1),
        by_owner=_by_owner(affected),
        by_tier=_by_tier(affected),
        affected=affected,
        truncated=found.truncated,
    )


async def _parts(catalog: Catalog, entity: Entity) -> list[Entity]:
    if entity.kind not in {"System", "Domain"}:
        return [entity]
    found = await walk(catalog, [entity], ["hasPart"], depth=10, max_nodes=MAX_PARTS)
    return [part for part in found.nodes.values() if part is not None]


def _own_api(found: Walk, ref: str) -> bool:
    return any(edge.type == "providesApi" for edge in found.edges if edge.target == ref)


def _hops(found: Walk, ref: str) -> int:
    """Return how many entities stand between; an API on the way is not counted."""
    through_api = any(edge.type == "apiConsumedBy" and edge.depth == 2 for edge in found.edges if edge.target == ref)
    return 1 if through_api and found.depths[ref] == 2 else found.depths[ref]


def _by_owner(nodes: Sequence[Node]) -> list[OwnerImpact]:
    groups: dict[str | None, list[str]] = {}
    for node in nodes:
        groups.setdefault(node.owner, []).append(node.ref)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0] or ""))
    return [OwnerImpact(owner=owner, count=len(refs), refs=refs) for owner, refs in ranked]


def _by_tier(nodes: Sequence[Node]) -> list[TierImpact]:
    groups: dict[str | None, list[str]] = {}
    for node in nodes:
        groups.setdefault(node.tier, []).append(node.ref)
    ranked = sorted(groups.items(), key=lambda item: (item[0] is None, item[0] or ""))
    return [TierImpact(tier=tier, count=len(refs), refs=refs) for tier, refs in ranked]


def _edge(found: Walk, edge: Edge) -> RelationEdge:
    exists = found.nodes.get(edge.target) is not None
    return RelationEdge(source=edge.source, type=edge.type, target=edge.target, depth=edge.depth, exists=exists)


def _node(catalog: Catalog, found: Walk, ref: str) -> Node:
    entity = found.nodes[ref]
    return Node(
        ref=ref,
        exists=entity is not None,
        kind=views.kind_of(ref),
        type=views.text(entity, "spec.type") if entity else None,
        owner=views.owner(entity) if entity else None,
        tier=views.tier(catalog, entity) if entity else None,
        depth=found.depths[ref],
    )
