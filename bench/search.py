"""Search: how long an index takes to build, how long a query takes, and how many of the right tools it finds.

``python -m bench.search``. Time is measured on made-up tools from a seeded generator; finding is measured on the
development set ``shared/retrieval/livemcpbench`` beside the checkout, and left out when it is absent.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as t

from portal.catalogue.gather import gather
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.reply import CHARS_PER_TOKEN, search_reply
from portal.catalogue.snapshot import Catalogue, everything

DEVELOPMENT_SET = Path(__file__).resolve().parent.parent.parent / "shared" / "retrieval" / "livemcpbench"
SIZES = (50, 500, 5_000, 20_000)
QUERIES_PER_SIZE = 200
PER_QUERY = 5
SHOWN = 8
SEEN = 33

_VERBS = "get list create update delete search send run cancel compare assign export import approve resolve"
_NOUNS = """
issue project branch commit pipeline job user group alert metric dashboard release document page comment message
channel file folder order invoice customer ticket sprint deployment cluster node volume secret policy role
"""
_PLACES = "team region account environment repository workspace service owner status history schedule template"
VERBS, NOUNS, PLACES = _VERBS.split(), _NOUNS.split(), _PLACES.split()


@dataclass(frozen=True, slots=True)
class Task:
    """One labelled task: its whole text, its steps, the queries an agent wrote, and the tools it needs. Each group
    holds names of which any one will do.
    """

    text: str
    steps: list[str]
    agent: list[str]
    groups: list[list[str]]


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
    chance = random.Random(7)
    spent: list[float] = []
    replied: list[float] = []
    for _ in range(QUERIES_PER_SIZE):
        query = f"{chance.choice(VERBS)} the {chance.choice(NOUNS)} of a {chance.choice(PLACES)}"
        spent.append(_ms(lambda query=query: catalogue.search([query], limit=SEEN)))  # type: ignore[misc]
        ask: Callable[[], object] = lambda query=query: search_reply(  # type: ignore[misc]  # noqa: E731
            catalogue, [query], server=None, limit=SHOWN, allowed=everything
        )
        replied.append(_ms(ask))
    return (
        f"{count:>7,} tools: build {built_ms:7.0f} ms, one server changed {again_ms:6.0f} ms; query median "
        f"{statistics.median(spent):6.2f} ms, p99 {_p99(spent):6.2f} ms; "
        f"whole reply median {statistics.median(replied):6.2f} ms"
    )


def development() -> list[str]:
    """Return the recall lines of the development set."""
    listings: dict[str, list[t.Tool]] = {}
    for row in _rows("tools.jsonl"):
        tool = t.Tool(name=row["name"], description=row["description"], input_schema=row["input_schema"])
        listings.setdefault(row["server"], []).append(tool)
    tools = [tool for server, listing in listings.items() for tool in gather(server, listing)[0]]
    catalogue = Catalogue(tools, [ServerState(server) for server in listings])
    tasks = [Task(r["query"], r["steps"], r["agent"], r["groups"]) for r in _rows("queries.jsonl")]
    written = [task for task in tasks if task.agent]

    def find(queries: Sequence[str], limit: int) -> set[str]:
        return {f"{tool.server}.{tool.name}" for tool in catalogue.search(queries, limit=limit)}

    def each(queries: Sequence[str]) -> set[str]:
        return {name for query in queries for name in find([query], PER_QUERY)}

    texts = [search_reply(catalogue, task.steps[:10], server=None, limit=SHOWN, allowed=everything) for task in tasks]
    tokens = statistics.mean(len(text) for text in texts) / CHARS_PER_TOKEN
    return [
        f"development set: {len(tools)} tools, {len(tasks)} tasks, {sum(len(task.agent) for task in tasks)} queries",
        _recall("whole task as one query, 5 tools", tasks, lambda task: find([task.text], 5)),
        _recall("whole task as one query, 10 tools", tasks, lambda task: find([task.text], 10)),
        _recall("agent's own queries, 5 tools each, together", written, lambda task: each(task.agent)),
        _recall(f"agent's own queries in one call, {SHOWN} stubs", written, lambda task: find(task.agent, SHOWN)),
        _recall(f"agent's own queries in one call, {SEEN} seen", written, lambda task: find(task.agent, SEEN)),
        _recall(f"one query per step in one call, {SHOWN} stubs", tasks, lambda task: find(task.steps, SHOWN)),
        _recall(f"one query per step in one call, {SEEN} seen", tasks, lambda task: find(task.steps, SEEN)),
        f"  reply to one query per step: mean {tokens:.0f} tokens (characters / {CHARS_PER_TOKEN})",
    ]


def main() -> None:
    """Print every figure."""
    for size in SIZES:
        print(timing(size))
    if DEVELOPMENT_SET.is_dir():
        print("\n".join(development()))
    else:
        print("development set: absent, recall not measured")


def _recall(label: str, tasks: Sequence[Task], find: Callable[[Task], set[str]]) -> str:
    shares = []
    for task in tasks:
        found = find(task)
        shares.append(sum(any(name in found for name in group) for group in task.groups) / len(task.groups))
    whole = sum(share == 1 for share in shares) / len(shares)
    return f"  {label}: recall {statistics.mean(shares):.3f}, all needed {whole:.3f} ({len(tasks)} tasks)"


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEVELOPMENT_SET / name).read_text(encoding="utf-8").splitlines()]


def _ms(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1_000


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


if __name__ == "__main__":
    main()
