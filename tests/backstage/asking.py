"""How both sides are asked: our tools and Backstage's API, with the same filters, scope and page size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers._kit.testing import Connection
from servers.catalog.contract import Entity
from tests.backstage.oracle import Backstage
from tests.backstage.sides import ref_of

Json = dict[str, Any]
GENERATED: Json = {"$not": {"metadata.name": {"$hasPrefix": "generated-"}}}


@dataclass(frozen=True, slots=True)
class Sides:
    """Both catalogs: ours through its tools and as it holds entities, and Backstage's."""

    tools: Connection
    ours: Mapping[str, Entity]
    backstage: Backstage
    theirs: Mapping[str, Json]

    @property
    def shared(self) -> list[str]:
        """The references that both have, in order."""
        return sorted(self.ours.keys() & self.theirs.keys())

    @property
    def lonely(self) -> list[str]:
        """The names of the entities that only one side has; questions about all entities leave them out."""
        return sorted({ref.rpartition("/")[2] for ref in self.ours.keys() ^ self.theirs.keys()})


async def our_refs(sides: Sides, filters: Sequence[Json], order: Sequence[str] = ()) -> list[str]:
    return [ref for page in await our_pages(sides, filters, order, 200) for ref in page]


async def our_pages(sides: Sides, filters: Sequence[Json], order: Sequence[str], size: int) -> list[list[str]]:
    found, page = [], None
    while True:
        scope = [*filters, *_left_out(sides)]
        answer = await sides.tools.call("query_entities", filters=scope, order=list(order), limit=size, page=page)
        found.append([item["ref"] for item in answer["items"]])
        page = answer["next_page"]
        if page is None:
            return found


def their_refs(sides: Sides, filters: Sequence[Json]) -> list[str]:
    return [ref for page in their_pages(sides, filters, None, 200) for ref in page]


def their_pages(sides: Sides, filters: Sequence[Json], order: str | None, size: int) -> list[list[str]]:
    body: Json = {"query": predicate(sides, filters), "limit": size}
    if order is not None:
        body["orderBy"] = [{"field": order.removeprefix("-"), "order": "desc" if order.startswith("-") else "asc"}]
    found = []
    while True:
        answer = sides.backstage.post("/entities/by-query", body)
        found.append([ref_of(one) for one in answer["items"]])
        cursor = answer["pageInfo"].get("nextCursor")
        if cursor is None:
            return found
        body = {"cursor": cursor, "limit": size}


async def our_facet(sides: Sides, facet: str, filters: Sequence[Json]) -> dict[str, int]:
    found, page = {}, None
    while True:
        scope = [*filters, *_left_out(sides)]
        answer = await sides.tools.call("list_facets", facets=[facet], filters=scope, limit=200, page=page)
        found.update({item["value"]: item["count"] for item in answer["items"]})
        page = answer["next_page"]
        if page is None:
            return found


def _left_out(sides: Sides) -> list[Json]:
    return [{"none_of": [{"field": "metadata.name", "one_of": sides.lonely}]}] if sides.lonely else []


def predicate(sides: Sides, filters: Sequence[Json]) -> Json:
    """Return filters of ours as a predicate of Backstage's."""
    return {"$all": [*(_translated(one) for one in [*filters, *_left_out(sides)]), GENERATED]}


def _translated(rule: Json) -> Json:
    match rule:
        case {"all_of": inner}:
            return {"$all": [_translated(one) for one in inner]}
        case {"any_of": inner}:
            return {"$any": [_translated(one) for one in inner]}
        case {"none_of": inner}:
            return {"$not": {"$any": [_translated(one) for one in inner]}}
        case {"field": field, "equals": value}:
            return {field: value}
        case {"field": field, "one_of": values}:
            return {field: {"$in": values}}
        case {"field": field, "prefix": prefix}:
            return {field: {"$hasPrefix": prefix}}
        case {"field": field, "exists": wanted}:
            return {field: {"$exists": wanted}}
    raise ValueError(rule)
