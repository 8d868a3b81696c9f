"""What agents do with a login that they kept: when their token expires, the portal restarts, the grant is revoked.

Each of these happens once, to all agents together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.clients.agents import Agent
from tests.clients.stage import ACCESS_TOKEN_S, Stage
from tests.clients.trial import walk

CELLS = ("refresh", "restart", "revocation")


def keeping(stage: Stage, homes: dict[str, tuple[Agent, Path]]) -> Iterator[tuple[str, str, str]]:
    """Yield agent, cell and fault ("" for none) of every agent of ``homes`` that keeps a login, which stands there."""
    keepers = [(agent, home) for agent, home in homes.values() if agent.again]
    happens: tuple[tuple[str, Callable[[], object], Callable[[Stage, Agent, Path], str]], ...] = (
        # Nothing else than time makes a token expire, and agents judge by their own clocks.
        ("refresh", lambda: time.sleep(ACCESS_TOKEN_S + 1), _renews),
        ("restart", stage.restart, _goes_on),
        ("revocation", stage.revoke, _starts_anew),
    )
    for cell, event, judged in happens:
        if keepers:
            event()
        for agent, home in keepers:
            yield agent.name, cell, judged(stage, agent, home)


def _renews(stage: Stage, agent: Agent, home: Path) -> str:
    outcome = walk(stage, agent, agent.again, home)
    return outcome.fault or ("" if "refresh_token" in outcome.grants else "used no refresh token")


def _goes_on(stage: Stage, agent: Agent, home: Path) -> str:
    return walk(stage, agent, agent.again, home).fault


def _starts_anew(stage: Stage, agent: Agent, home: Path) -> str:
    return walk(stage, agent, agent.refused, home, ended=True).fault or walk(stage, agent, agent.anew, home).fault
