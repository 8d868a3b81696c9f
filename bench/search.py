"""`make bench-search`: what an index and a query cost, and how many of the right tools a search finds.

Time is measured on made-up tools from a seeded generator. Finding is measured on our own servers with the intents that
stand beside them, and on the development set ``shared/retrieval/livemcpbench`` beside the checkout (left out when it is
absent); each beside FastMCP's BM25 transform, which is given the same tools and the same queries.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence

import mcp_types as t

from bench.processes import resident_mb
from bench.recall import Find, LabelledSet, Task, development, interval, ours, own, peers
from portal.catalogue.gather import gather
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.reply import search_reply
from portal.catalogue.sentences import SentencesMissing, sentence_vectors
from portal.catalogue.snapshot import Catalogue, everything
from portal.catalogue.visibility import Allowed

SIZES = (50, 500, 5_000, 20_000)
QUERIES_PER_SIZE = 200
TICK_S = 0.001
SHOWN = 8
SEEN = 33

_VERBS = "get list create update delete search send run cancel compare assign export import approve resolve"
_NOUNS = """
issue project branch commit pipeline job user group alert metric dashboard release document page comment message
channel file folder order invoice customer ticket sprint deployment cluster node volume secret policy role
"""
_PLACES = "team region account environment repository workspace service owner status history schedule template"
VERBS, NOUNS, PLACES = _VERBS.split(), _NOUNS.split(), _PLACES.split()


def made_up(count: int) -> list[Tool]:
    """Return ``count`` tools of twenty tools a server, the same ones every time."""
    chance = random.Random(20261124)
    found: list[Tool] = []
    for number in range(-(-count // 20)):
        listing: dict[str, t.Tool] = {}
        while len(listing) < 20:
            verb, noun, place = chance.choice(VERBS), chance.choice(NOUNS), chance.choice(PLACES)
            name = f"{verb}_{place}_{noun}_{chance.randrange(100)}"
            text = f"{verb.title()} the {noun} of a {place} by {chance.choice(PLACES)} and {chance.choice(NOUNS)}."
            properties = {
                f"{place}_{key}": {"type": "string", "description": f"The {key} of the {noun}."}
                for key in ("id", "name", chance.choice(PLACES))
            }
            schema = {"type": "object", "properties": properties, "required": [f"{place}_id"]}
            listing[name] = t.Tool(name=name, description=text, input_schema=schema)
        found += gather(f"server{number}", list(listing.values()))[0]
    return found[:count]


def timing(count: int) -> str:
    """Return one line: build and query times over ``count`` made-up tools."""
    tools = made_up(count)
    states = [ServerState(name) for name in dict.fromkeys(tool.server for tool in tools)]
    started = time.perf_counter()
    catalogue = Catalogue(tools, states)
    built_ms = (time.perf_counter() - started) * 1_000
    started = time.perf_counter()
    Catalogue(tools, [ServerState(s.name, "Changed." if s is states[0] else "") for s in states], before=catalogue)
    again_ms = (time.perf_counter() - started) * 1_000
    spent: list[float] = []
    replied: list[float] = []
    for query in _queries():
        spent.append(_ms(lambda query=query: catalogue.search([query], limit=SEEN)))  # type: ignore[misc]
        ask: Callable[[], object] = lambda query=query: search_reply(  # type: ignore[misc]  # noqa: E731
            catalogue, [query], server=None, limit=None, allowed=everything
        )
        replied.append(_ms(ask))
    return (
        f"{count:>7,} tools: build {built_ms:7.0f} ms, one server changed {again_ms:6.0f} ms; query median "
        f"{statistics.median(spent):6.2f} ms, p99 {_p99(spent):6.2f} ms; "
        f"whole reply median {statistics.median(replied):6.2f} ms"
    )


def stalls(count: int) -> str:
    """Return one line: how long an event loop stands still while an index is built in a thread beside it."""
    tools = made_up(count)
    states = [ServerState(name) for name in dict.fromkeys(tool.server for tool in tools)]

    async def watched() -> list[float]:
        building = asyncio.create_task(asyncio.to_thread(Catalogue, tools, states))
        late: list[float] = []
        while not building.done():
            started = time.perf_counter()
            await asyncio.sleep(TICK_S)
            late.append((time.perf_counter() - started - TICK_S) * 1_000)
        return late

    late = asyncio.run(watched())
    return (
        f"{count:>7,} tools: event loop late while they are indexed: p99 {_p99(late):.1f} ms, most {max(late):.1f} ms"
    )


def visibility(count: int) -> str:
    """Return one line: a query of somebody who may see every tool, and of others who may see few."""
    tools = made_up(count)
    catalogue = Catalogue(tools, [ServerState(name) for name in dict.fromkeys(tool.server for tool in tools)])
    half, few = set(catalogue.servers()[::2]), set(catalogue.servers()[::100])
    ways: dict[str, Allowed] = {
        "all": everything,
        "half": lambda tool: tool.server in half,
        "1 %": lambda tool: tool.server in few,
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for query in _queries():
        for name, allowed in ways.items():
            spent[name].append(_ms(lambda q=query, a=allowed: catalogue.search([q], limit=SEEN, allowed=a)))  # type: ignore[misc]
    medians = ", ".join(f"{name} visible {statistics.median(values):.2f} ms" for name, values in spent.items())
    return f"{count:>7,} tools: query median with {medians}"


def found(labelled: LabelledSet) -> list[str]:
    """Return the recall lines of one labelled set, each ranker's beside the other's."""
    catalogue = labelled.catalogue()
    tasks = labelled.tasks
    rankers = {"portal": ours(catalogue)}
    if with_sentences():
        rankers["portal with sentences"] = ours(labelled.catalogue(sentence_vectors))
    rankers["FastMCP"] = peers(labelled)
    ways: dict[str, Callable[[Find, Task], list[str]]] = {
        "whole task as one query, 5 tools": lambda find, task: find(task.text, 5),
        "whole task as one query, 10 tools": lambda find, task: find(task.text, 10),
        "agent's own queries, 5 tools each": lambda find, task: [n for q in task.agent for n in find(q, 5)],
        "agent's own queries, 10 tools each": lambda find, task: [n for q in task.agent for n in find(q, 10)],
        "one query per step, 5 tools each": lambda find, task: [n for q in task.steps for n in find(q, 5)],
    }
    lines = [f"  {len(catalogue.tools)} tools, {len(tasks)} tasks, {sum(len(task.agent) for task in tasks)} queries"]
    if not any(task.steps for task in tasks):
        del ways["one query per step, 5 tools each"]
    for label, way in ways.items():
        shares = {name: [task.share(way(find, task)) for task in tasks] for name, find in rankers.items()}
        lines += [_line(f"{label}, {name}", values) for name, values in shares.items()]
        for name, values in shares.items():
            if name != "FastMCP":
                apart = [one - other for one, other in zip(values, shares["FastMCP"], strict=True)]
                lines.append(f"    {name} minus FastMCP: {interval(apart)}")
    for limit, said in ((SHOWN, "stubs"), (SEEN, "seen")):
        shares_together = [
            task.share(f"{tool.server}.{tool.name}" for tool in catalogue.search(task.agent, limit=limit))
            for task in tasks
        ]
        lines.append(_line(f"agent's own queries in one call, {limit} {said}, portal", shares_together))
    new = [task for task in tasks if task.unseen]
    for name, find in rankers.items() if new else ():
        unseen = [task.share(n for q in task.agent for n in find(q, 5)) for task in new]
        lines.append(_line(f"of these {len(unseen)} never used to word a description, 5 tools each, {name}", unseen))
    return lines


def with_sentences() -> bool:
    """Say whether the sentence model is installed."""
    try:
        sentence_vectors()
    except SentencesMissing:
        return False
    return True


def reading(before_mb: float) -> str:
    """Return one line: what the sentence model costs, beside the memory that this process had before."""
    vectors = sentence_vectors()
    held = resident_mb() - before_mb
    queries = [_ms(lambda q=query: vectors.of(q)) for query in _queries()]  # type: ignore[misc]
    tools = [_ms(lambda t=tool: vectors.of(f"{t.name} {t.description}")) for tool in made_up(100)]  # type: ignore[misc]
    return (
        f"sentence model: {held:.0f} MB; reads a query in {statistics.median(queries):.1f} ms, a made-up tool in "
        f"{statistics.median(tools):.1f} ms (medians, in a thread beside the event loop)"
    )


def main() -> None:
    """Print every figure."""
    for size in SIZES:
        print(timing(size), flush=True)
    print(visibility(20_000), flush=True)
    print(stalls(5_000), flush=True)
    before_mb = resident_mb()
    print(
        reading(before_mb) if with_sentences() else "sentence model: not installed (make sentences), left out",
        flush=True,
    )
    print("our own servers", *found(own()), sep="\n", flush=True)
    labelled = development()
    if labelled is None:
        print("development set: absent, not measured")
    else:
        print("development set (LiveMCPBench)", *found(labelled), sep="\n")


def _line(label: str, shares: Sequence[float]) -> str:
    return f"  {label}: recall {interval(shares)}, all needed {interval([float(share == 1) for share in shares])}"


def _queries() -> list[str]:
    chance = random.Random(7)
    return [
        f"{chance.choice(VERBS)} the {chance.choice(NOUNS)} of a {chance.choice(PLACES)}"
        for _ in range(QUERIES_PER_SIZE)
    ]


def _ms(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1_000


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


if __name__ == "__main__":
    main()
