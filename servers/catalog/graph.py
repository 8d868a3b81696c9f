"""Walks over relations, breadth first and a batch at a time, so that a remote catalog answers a whole level at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from servers.catalog.contract import Catalog, Entity
from servers.catalog.views import by_ref

# From a consumer through an API to who provides it, and back: an API stands between two components.
DEPENDENCIES = ("dependsOn", "consumesApi", "apiProvidedBy")
DEPENDENTS = ("dependencyOf", "apiConsumedBy", "providesApi")

MAX_EDGES = 5_000


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge as its source shows it, ``depth`` steps from the start of a walk."""

    source: str
    type: str
    target: str
    depth: int


@dataclass(slots=True)
class Walk:
    """What a walk reached: entity by ref (None where the catalog has none), depth by ref, and the edges gone along."""

    nodes: dict[str, Entity | None] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    truncated: bool = False


async def walk(
    catalog: Catalog,
    start: Sequence[Entity],
    types: Sequence[str],
    *,
    depth: int,
    max_nodes: int,
    goal: str | None = None,
) -> Walk:
    """Return everything within ``depth`` edges of these types. It ends after the level on which ``goal`` appears.

    ``truncated`` says that ``max_nodes`` or MAX_EDGES left something out, not that there is more beyond ``depth``.
    """
    found = Walk(nodes={e.ref: e for e in start}, depths={e.ref: 0 for e in start})
    level = list(start)
    for steps in range(1, depth + 1):
        reached: dict[str, None] = {}
        for entity in level:
            for relation in entity.relations:
                if relation.type in types:
                    _follow(found, Edge(entity.ref, relation.type, relation.target, steps), reached, max_nodes)
        entities = await by_ref(catalog, list(reached))
        for ref in reached:
            found.nodes[ref] = entities.get(ref)
        level = list(entities.values())
        if not level or (goal is not None and goal in reached):
            break
    return found


def _follow(found: Walk, edge: Edge, reached: dict[str, None], max_nodes: int) -> None:
    if edge.target not in found.nodes and edge.target not in reached:
        if len(found.nodes) + len(reached) >= max_nodes:
            found.truncated = True
            return
        reached[edge.target] = None
        found.depths[edge.target] = edge.depth
    if len(found.edges) >= MAX_EDGES:
        found.truncated = True
        return
    found.edges.append(edge)


def shortest_paths(found: Walk, start: str, goal: str, *, limit: int) -> list[list[Edge]]:
    """Return up to ``limit`` shortest paths of a walk from its start to ``goal``, as lists of edges."""
    if goal == start or goal not in found.depths:
        return []
    into: dict[str, list[Edge]] = {}
    for edge in found.edges:
        if found.depths[edge.target] == edge.depth:
            into.setdefault(edge.target, []).append(edge)
    done: list[list[Edge]] = []
    open_paths = [[edge] for edge in reversed(into.get(goal, []))]
    # Depth first, from the goal back: every open path is a suffix of a shortest path, so none is in vain.
    while open_paths and len(done) < limit:
        path = open_paths.pop()
        source = path[0].source
        if source == start:
            done.append(path)
        else:
            open_paths += [[edge, *path] for edge in reversed(into.get(source, []))]
    return done
