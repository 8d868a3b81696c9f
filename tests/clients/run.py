"""``make clients``: real agents against a portal that runs as it ships, with a token and with a login in a browser, and
what becomes of that login.

``python -m tests.clients.run [NAME…]`` tries all agents or those whose name contains a NAME, prints a table, and exits
with 1 when an agent that must work does not. Nothing leaves the machine once the agents are installed.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.agents import Agent, agents
from tests.clients.install import install
from tests.clients.keeping import CELLS, keeping
from tests.clients.stage import Stage, standing
from tests.clients.trial import Outcome, version, walk

HEAD = ("client", "version", "protocol", "bearer", "OAuth", *CELLS, "tools", "execute")


@dataclass(slots=True)
class Row:
    """One agent's line of the table."""

    agent: Agent
    version: str = "?"
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)

    def texts(self) -> tuple[str, ...]:
        outcomes = self.outcomes.values()
        called = [outcome.called for outcome in outcomes if outcome.called is not None]
        return (
            self.agent.name,
            self.version,
            ", ".join(dict.fromkeys(revision for outcome in outcomes for revision in outcome.revisions)) or "?",
            *("no" if outcome.fault else "yes" for outcome in outcomes),
            *(self.cells.get(cell, "-") for cell in CELLS),
            ", ".join(dict.fromkeys(name for outcome in outcomes for name in outcome.tools)) or "none",
            "-" if not called else "yes" if all(called) else "no",
        )


def main(names: list[str]) -> int:
    """Return 0 when every required agent works in every way, 1 when one does not, 2 when no agent has such a name."""
    there = install()
    known = agents(there)
    chosen = [agent for agent in known if not names or any(name.lower() in agent.name.lower() for name in names)]
    if not chosen:
        print(f"clients: give a part of one of: {', '.join(agent.name for agent in known)}", file=sys.stderr)
        return 2
    rows = {agent.name: Row(agent) for agent in chosen}
    failed: list[str] = []

    def note(agent: Agent, what: str, fault: str) -> None:
        if fault:
            failed.extend([f"{agent.name}, {what}: {fault}"] if agent.required else [])
            required = "" if agent.required else " (not required)"
            print(f"{agent.name}, {what}: {fault}{required}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with standing(data, there) as stage:
            homes: dict[str, tuple[Agent, Path]] = {}
            for number, row in enumerate(rows.values()):
                _try(stage, row, Path(folder) / str(number))
                for way, outcome in row.outcomes.items():
                    note(row.agent, way, outcome.fault)
                if not row.outcomes["OAuth"].fault:
                    homes[row.agent.name] = row.agent, Path(folder) / str(number) / "OAuth"
            for name, cell, fault in keeping(stage, homes):
                rows[name].cells[cell] = "no" if fault else "yes"
                note(rows[name].agent, cell, fault)
            failed += stage.log_faults()
    _print([HEAD, *(row.texts() for row in rows.values())])
    print(f"clients: {'failed: ' + '; '.join(failed) if failed else 'every required client works in every way'}")
    return 1 if failed else 0


def _try(stage: Stage, row: Row, folder: Path) -> None:
    """Take the agent along both of its routes, each in a home of its own."""
    for way, steps in (("bearer", row.agent.token), ("OAuth", row.agent.login)):
        print(f"{row.agent.name}: {way}", file=sys.stderr, flush=True)
        home = folder / way
        home.mkdir(parents=True)
        row.outcomes[way] = walk(stage, row.agent, steps, home)
    row.version = version(stage, row.agent, folder / "bearer")


def _print(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
