"""``make clients``: real agents against a portal that runs as it ships, with a token and with a login in a browser.

``python -m tests.clients.run [NAME…]`` tries all agents or those whose name contains a NAME, prints a table, and exits
with 1 when an agent that must work does not. Nothing leaves the machine once the agents are installed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.clients.agents import Agent, agents
from tests.clients.install import install
from tests.clients.trial import Outcome, Stage
from tests.clients.witness import standing_before
from tests.running import free_port, portal

CONFIG = """
[upstreams.notes]
module = "servers._template"
summary = "Notes of the team."
"""
HEAD = ("client", "version", "protocol", "bearer", "OAuth", "tools", "execute")


def main(names: list[str]) -> int:
    """Return 0 when every required agent works both ways, 1 when one does not, 2 when no agent has such a name."""
    there = install()
    chosen = [
        agent for agent in agents(there) if not names or any(name.lower() in agent.name.lower() for name in names)
    ]
    if not chosen:
        print(
            f"clients: no client is called {' or '.join(names)}; there are: "
            f"{', '.join(agent.name for agent in agents(there))}",
            file=sys.stderr,
        )
        return 2
    port, behind = free_port(), free_port()
    rows, faults = [HEAD], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with (
            portal(
                data,
                CONFIG,
                port=str(behind),
                public_url=f"http://127.0.0.1:{port}",
                allowed_hosts=json.dumps([f"127.0.0.1:{behind}"]),
            ) as running,
            standing_before(running.base, port) as witness,
        ):
            stage = Stage(there, running, witness, running.token())
            for number, agent in enumerate(chosen):
                row, found = _try(stage, agent, Path(folder) / str(number))
                rows.append(row)
                faults += found
    _print(rows)
    for required, fault in faults:
        print(f"{'FAILED' if required else 'failed, not required'}: {fault}")
    return 1 if any(required for required, _ in faults) else 0


def _try(stage: Stage, agent: Agent, homes: Path) -> tuple[tuple[str, ...], list[tuple[bool, str]]]:
    """Return the agent's row of the table and its faults, each with whether it is one that must not be."""
    outcomes: list[Outcome] = []
    for way in ("token", "login"):
        home = homes / way
        home.mkdir(parents=True)
        for name, text in agent.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        print(f"{agent.name}: {way}", file=sys.stderr, flush=True)
        outcomes.append(stage.walk(agent, agent.token if way == "token" else agent.login, home))
    token, login = outcomes
    called = [outcome.called for outcome in outcomes if outcome.called is not None]
    revisions = dict.fromkeys(token.revisions + login.revisions)
    tools = dict.fromkeys(name for outcome in outcomes for name in outcome.tools)
    row = (
        agent.name,
        stage.version(agent, homes / "token"),
        ", ".join(revisions) or "?",
        "no" if token.fault else "yes",
        "no" if login.fault else "yes",
        ", ".join(tools) or "none",
        "-" if not called else "yes" if all(called) else "no",
    )
    ways = (("bearer", token), ("OAuth", login))
    return row, [(agent.required, f"{agent.name}, {way}: {out.fault}") for way, out in ways if out.fault]


def _print(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
