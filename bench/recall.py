"""How many of the right tools a search finds: labelled sets, shares of them found, and how sure that is."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as t
import numpy as np
import yaml

from bench.processes import fastmcp_python
from portal.catalogue.gather import gather
from portal.catalogue.meaning import TextVectors, word_vectors
from portal.catalogue.records import ServerState
from portal.catalogue.snapshot import Catalogue
from servers._kit.tool import discover
from tests.running import ROOT

DEVELOPMENT_SET = ROOT.parent / "shared" / "retrieval" / "livemcpbench"
MOST = 10
"""The most tools that the peer is asked for with one query."""
RESAMPLES = 10_000

Find = Callable[[str, int], list[str]]
"""One query and a number of tools: full names, best first."""


@dataclass(frozen=True, slots=True)
class Task:
    """``text`` is the whole task, ``steps`` are queries that people wrote, ``agent`` those that an agent wrote.
    ``groups`` are the tools that it needs: of each group of full names any one will do.
    """

    text: str
    steps: list[str]
    agent: list[str]
    groups: list[list[str]]
    unseen: bool = False

    def share(self, found: Iterable[str]) -> float:
        """Return which share of the needed tools was found."""
        names = set(found)
        return sum(any(name in names for name in group) for group in self.groups) / len(self.groups)


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Listings by server, their summaries, and tasks over them."""

    listings: dict[str, list[t.Tool]]
    summaries: dict[str, str]
    tasks: list[Task]

    def catalogue(self, vectors: Callable[[], TextVectors | None] = word_vectors) -> Catalogue:
        tools = [tool for server, listing in self.listings.items() for tool in gather(server, listing)[0]]
        states = [ServerState(name, self.summaries.get(name, "")) for name in self.listings]
        return Catalogue(tools, states, vectors=vectors)


def development() -> LabelledSet | None:
    """Return LiveMCPBench with the queries of its baseline's agent; None when it is absent."""
    if not DEVELOPMENT_SET.is_dir():
        return None
    listings: dict[str, list[t.Tool]] = {}
    for row in _rows("tools.jsonl"):
        tool = t.Tool(name=row["name"], description=row["description"], input_schema=row["input_schema"])
        listings.setdefault(row["server"], []).append(tool)
    tasks = [Task(r["query"], r["steps"], r["agent"], r["groups"]) for r in _rows("queries.jsonl")]
    return LabelledSet(listings, {}, tasks)


def own() -> LabelledSet:
    """Return the servers of the default configuration with their intents."""
    configured = tomllib.loads((ROOT / "portal.toml").read_text(encoding="utf-8"))["upstreams"]
    listings: dict[str, list[t.Tool]] = {}
    tasks: list[Task] = []
    for name, upstream in configured.items():
        listings[name] = [spec.definition for spec in discover(f"{upstream['module']}.tools")]
        path = ROOT / Path(*upstream["module"].split(".")) / "intents.yaml"
        for intent in yaml.safe_load(path.read_text(encoding="utf-8")):
            queries, needed = intent["queries"], [[f"{name}.{tool}"] for tool in intent["tools"]]
            tasks.append(Task(". ".join(queries), [], queries, needed, intent.get("unseen", False)))
    return LabelledSet(listings, {name: upstream["summary"] for name, upstream in configured.items()}, tasks)


def ours(catalogue: Catalogue) -> Find:
    """Return the portal's search with one query."""
    return lambda query, limit: [f"{tool.server}.{tool.name}" for tool in catalogue.search([query], limit=limit)]


def peers(labelled: LabelledSet) -> Find:
    """Return FastMCP's search over the same tools, with all queries of the set asked beforehand."""
    names = {
        f"{server}_{tool.name}": f"{server}.{tool.name}"
        for server, listing in labelled.listings.items()
        for tool in listing
    }
    tools = [
        {"name": f"{server}_{tool.name}", "description": tool.description or "", "input_schema": tool.input_schema}
        for server, listing in labelled.listings.items()
        for tool in listing
    ]
    queries = list(dict.fromkeys(q for task in labelled.tasks for q in (task.text, *task.steps, *task.agent)))
    asked = json.dumps({"tools": tools, "queries": queries, "limit": MOST})
    command = [str(fastmcp_python()), str(Path(__file__).with_name("peer_search.py"))]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    found = dict(zip(queries, json.loads(done.stdout), strict=True))
    return lambda query, limit: [names[name] for name in found[query][:limit]]


def interval(values: Sequence[float]) -> str:
    """Return the mean with its 95 % bootstrap interval over tasks."""
    drawn = np.random.default_rng(20261124).choice(np.array(values), (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEVELOPMENT_SET / name).read_text(encoding="utf-8").splitlines()]
