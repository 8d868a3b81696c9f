"""The comparisons, each asking both sides the same and returning where the answers differ."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from servers.catalog.fields import select
from tests.backstage.asking import Sides, our_facet, our_pages, our_refs, predicate, their_pages, their_refs
from tests.backstage.descriptors import DESCRIPTORS
from tests.backstage.questions import FACETS, FIELDS, FILTERS, ORDERS, PAGED, REFS
from tests.backstage.sides import BOOKKEEPING, LOCATION, ORIGIN, Comparison, Difference, diverging, place, plain, ref_of

Json = dict[str, Any]


def entity_set(sides: Sides) -> Comparison:
    every = sorted(sides.ours.keys() | sides.theirs.keys())
    return Comparison(
        "entity set",
        len(every),
        [Difference("entity set", ref, ref in sides.ours, ref in sides.theirs) for ref in every if not (ref in sides.ours and ref in sides.theirs)],
    )  # fmt: skip


def contents(sides: Sides) -> list[Comparison]:
    """Compare metadata, spec, relations and places of every entity that both have."""
    found = {area: Comparison(area, 0, []) for area in ("envelope", "metadata", "spec", "relations", "places")}
    alone = sides.ours.keys() ^ sides.theirs.keys()
    for ref in sides.shared:
        ours, theirs = sides.ours[ref], sides.theirs[ref]
        mine, other = dict(ours.data), {k: v for k, v in theirs.items() if k not in {"relations", "status"}}
        pairs = {
            "envelope": ({k: v for k, v in mine.items() if k not in {"metadata", "spec"}}, {k: v for k, v in other.items() if k not in {"metadata", "spec"}}),
            "metadata": (plain(mine["metadata"]), plain(other["metadata"])),
            "spec": (mine.get("spec"), other.get("spec")),
            "relations": (
                {f"{r.type} {r.target}": True for r in ours.relations if r.target not in alone},
                {f"{r['type']} {r['targetRef']}": True for r in theirs["relations"] if r["targetRef"] not in alone},
            ),
            "places": (
                {name: ours.annotations.get(name) for name in (LOCATION, ORIGIN)},
                {name: place(theirs["metadata"]["annotations"].get(name)) for name in (LOCATION, ORIGIN)},
            ),
        }  # fmt: skip
        for area, (one, two) in pairs.items():
            found[area].count += len(theirs["relations"]) if area == "relations" else 1
            found[area].differences += [
                Difference(area, f"{ref} {path}".rstrip(), *values) for path, *values in diverging(one, two)
            ]
    return list(found.values())


async def ancestry(sides: Sides) -> Comparison:
    """Compare the way from an entity up to its root: each step of ours must be one of Backstage's."""
    found = Comparison("ancestry", 0, [])
    for ref in sides.shared:
        kind, _, rest = ref.partition(":")
        answer = sides.backstage.get(f"/entities/by-name/{kind}/{rest}/ancestry")
        parents = {
            ref_of(item["entity"]): {p for p in item["parentEntityRefs"] if not p.startswith("location:default/generated-")}
            for item in answer["items"]
        }  # fmt: skip
        origin = await sides.tools.call("get_entity_origin", ref=ref)
        steps = [step["ref"] for step in origin["steps"]]
        found.count += 1
        for parent, child in zip([None, *steps], steps, strict=False):
            known = parents.get(child, set())
            # The first step has a parent as well when a Location further down names its file again.
            if parent is not None and parent not in known:
                found.differences.append(Difference("ancestry", f"{ref} at {child}", parent, sorted(known)))
        where = place(sides.theirs[ref]["metadata"]["annotations"][LOCATION])
        if f"file:{origin['file']}" != where:
            found.differences.append(Difference("ancestry", f"{ref} file", origin["file"], where))
    return found


async def queries(sides: Sides) -> Comparison:
    found = Comparison("filters", 0, [])
    for name, filters in FILTERS.items():
        ours = sorted(await our_refs(sides, filters))
        theirs = sorted(their_refs(sides, filters))
        found.count += 1
        if ours != theirs:
            found.differences.append(Difference("filters", name, *_only(ours, theirs)))
    return found


async def orders(sides: Sides) -> Comparison:
    found = Comparison("orders", 0, [])
    for wanted, order in ORDERS:
        filters = [{"field": field, "equals": value} for field, value in wanted.items()]
        ours = await our_refs(sides, filters, order)
        # With a limit it sorts by several fields, compared as they are stored, in lower case.
        params: Json = {
            "order": [f"{'desc' if o.startswith('-') else 'asc'}:{o.removeprefix('-').lower()}" for o in order],
            "limit": 5_000,
        }
        if wanted:
            params["filter"] = ",".join(f"{field}={value}" for field, value in wanted.items())
        theirs = _comparable(sides, (ref_of(one) for one in sides.backstage.get("/entities", **params)))
        found.count += 1
        # Of equal keys Backstage's order is that of its random ids, so only the keys are compared, and the whole set.
        if _keys(sides, ours, order) != _keys(sides, theirs, order) or sorted(ours) != sorted(theirs):
            found.differences.append(
                Difference("orders", f"{dict(wanted)} by {', '.join(order)}", *_first(ours, theirs))
            )
    return found


async def pages(sides: Sides) -> Comparison:
    """Compare what following the pages brings, page by page."""
    found = Comparison("cursors", 0, [])
    for name, order, size in PAGED:
        ours = await our_pages(sides, FILTERS[name], [order], size)
        theirs = their_pages(sides, FILTERS[name], order, size)
        found.count += len(theirs)
        if [_keys(sides, page, [order]) for page in ours] != [_keys(sides, page, [order]) for page in theirs]:
            found.differences.append(Difference("cursors", f"{name} by {order}, {size} a page", ours, theirs))
    return found


async def facets(sides: Sides) -> Comparison:
    found = Comparison("facets", 0, [])
    for scope, filters in (("all", []), ("components", FILTERS["kind"])):
        body = {"facets": list(FACETS), "query": predicate(sides, filters)}
        theirs = sides.backstage.post("/entity-facets", body)["facets"]
        for facet in FACETS:
            ours = await our_facet(sides, facet, filters)
            other = {one["value"]: one["count"] for one in theirs[facet]}
            found.count += len(other)
            found.differences += [
                Difference("facets", f"{scope}: {facet} {path}", *values) for path, *values in diverging(ours, other)
            ]
    return found


async def fields(sides: Sides) -> Comparison:
    """Compare what is left of entities when only one field of them is asked for."""
    found = Comparison("fields", 0, [])
    for path in FIELDS:
        params = {"fields": ["kind", "metadata.name", "metadata.namespace", path]}
        theirs = {ref_of(one): one for one in sides.backstage.get("/entities", **params)}
        page = None
        while True:
            answer = await sides.tools.call("query_entities", fields=[path], limit=200, page=page)
            for item in answer["items"]:
                if item["ref"] not in theirs:
                    continue
                ours, other = item["fields"][path], select(theirs[item["ref"]], path)
                if path in {"metadata.annotations", "spec"}:
                    ours, other = (
                        {k: v for k, v in (one or {}).items() if k not in BOOKKEEPING} for one in (ours, other)
                    )
                found.count += 1
                found.differences += [
                    Difference("fields", f"{item['ref']} {path} {at}".rstrip(), *values)
                    for at, *values in diverging(ours, other)
                ]
            page = answer["next_page"]
            if page is None:
                break
    return found


async def by_refs(sides: Sides) -> Comparison:
    ours = [one["ref"] if one else None for one in await sides.tools.call("get_entities", refs=list(REFS))]
    answer = sides.backstage.post("/entities/by-refs", {"entityRefs": list(REFS)})["items"]
    theirs = [ref_of(one) if one else None for one in answer]
    return Comparison(
        "by-refs",
        len(REFS),
        [Difference("by-refs", f"{at} {ref}", o, t) for at, (ref, o, t) in enumerate(zip(REFS, ours, theirs, strict=True)) if o != t],
    )  # fmt: skip


async def verdicts(sides: Sides) -> Comparison:
    found = Comparison("verdicts", 0, [])
    for name, descriptor in DESCRIPTORS.items():
        answer = await sides.tools.call("validate_entity", yaml=json.dumps(descriptor))
        fault = sides.backstage.fault(descriptor)
        found.count += 1
        if answer["valid"] != (fault is None):
            ours = "good" if answer["valid"] else answer["problems"][0]["message"]
            found.differences.append(Difference("verdicts", name, ours, "good" if fault is None else _reason(fault)))
    return found


def _reason(fault: str) -> str:
    return str(json.loads(fault)["errors"][0]["message"]).partition("caused by")[2]


def _comparable(sides: Sides, refs: Iterable[str]) -> list[str]:
    shared = set(sides.shared)
    return [ref for ref in refs if ref in shared]


def _keys(sides: Sides, refs: Sequence[str], order: Sequence[str]) -> list[tuple[Any, ...]]:
    fields = [field.removeprefix("-").lower() for field in order]
    return [tuple(sorted(sides.ours[ref].keys.get(field, ())) for field in fields) for ref in refs]


def _only(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], list[str]]:
    counts: dict[str, int] = defaultdict(int)
    for ref in ours:
        counts[ref] += 1
    for ref in theirs:
        counts[ref] -= 1
    return [ref for ref, n in counts.items() if n > 0], [ref for ref, n in counts.items() if n < 0]


def _first(ours: Sequence[str], theirs: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return both from a little before the place where they part."""
    at = next((i for i, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), 0)
    return ours[max(0, at - 1) : at + 4], theirs[max(0, at - 1) : at + 4]
