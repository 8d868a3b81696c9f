"""``make clients``: real agents against a portal that runs as it ships, with a token and with a login in a browser.

``python -m tests.clients.run [NAME…]`` tries all agents or those whose name contains a NAME, prints a table, and exits
with 1 when an agent that must work does not. Nothing leaves the machine once the agents are installed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.clients.agents import Agent, agents
from tests.clients.install import install
from tests.clients.stage import Stage, standing
from tests.clients.trial import version, walk

HEAD = ("client", "version", "protocol", "bearer", "OAuth", "tools", "execute")


def main(names: list[str]) -> int:
    """Return 0 when every required agent works both ways, 1 when one does not, 2 when no agent has such a name."""
    there = install()
    known = agents(there)
    chosen = [agent for agent in known if not names or any(name.lower() in agent.name.lower() for name in names)]
    if not chosen:
        print(f"clients: give a part of one of: {', '.join(agent.name for agent in known)}", file=sys.stderr)
        return 2
    rows: list[tuple[str, ...]] = [HEAD]
    failed: list[str] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with standing(data, there) as stage:
            for number, agent in enumerate(chosen):
                row, faults = _try(stage, agent, Path(folder) / str(number))
                rows.append(row)
                failed += [fault for fault in faults if agent.required]
                for fault in faults:
                    print(f"{fault}{'' if agent.required else ' (not required)'}", file=sys.stderr, flush=True)
            failed += stage.log_faults()
    _print(rows)
    print(f"clients: {'failed: ' + '; '.join(failed) if failed else 'every required client works both ways'}")
    return 1 if failed else 0


def _try(stage: Stage, agent: Agent, folder: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return the agent's row of the table, and its faults."""
    outcomes = []
    for way, steps in (("bearer", agent.token), ("OAuth", agent.login)):
        print(f"{agent.name}: {way}", file=sys.stderr, flush=True)
        home = folder / way
        home.mkdir(parents=True)
        outcomes.append((way, walk(stage, agent, steps, home)))
    called = [outcome.called for _, outcome in outcomes if outcome.called is not None]
    row = (
        agent.name,
        version(stage, agent, folder / "bearer"),
        ", ".join(dict.fromkeys(revision for _, outcome in outcomes for revision in outcome.revisions)) or "?",
        *("no" if outcome.fault else "yes" for _, outcome in outcomes),
        ", ".join(dict.fromkeys(name for _, outcome in outcomes for name in outcome.tools)) or "none",
        "-" if not called else "yes" if all(called) else "no",
    )
    return row, [f"{agent.name}, {way}: {outcome.fault}" for way, outcome in outcomes if outcome.fault]


def _print(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
