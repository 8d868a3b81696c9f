"""An agent that needs no installation goes both ways, and what only looks like success is found out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.agents import Agent, Step, agents, commands
from tests.clients.install import Installed
from tests.clients.stage import Stage, standing
from tests.clients.trial import walk

NOWHERE = Installed(node=Path("/nowhere/node"), modules=Path("/nowhere"), fastmcp=Path("/nowhere/fastmcp"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with standing(tmp_path_factory.mktemp("portal"), NOWHERE) as found:
        yield found


@pytest.fixture
def sdk() -> Agent:
    return next(agent for agent in agents(NOWHERE) if agent.name == "MCP Python SDK")


def test_the_sdk_works_with_a_token_and_with_a_login_and_the_log_stays_clean(
    stage: Stage, sdk: Agent, tmp_path: Path
) -> None:
    for steps in (sdk.token, sdk.login):
        outcome = walk(stage, sdk, steps, tmp_path)
        assert outcome.fault == ""
        assert (outcome.tools, outcome.revisions, outcome.called) == (("search", "execute"), ("2026-07-28",), True)
    assert stage.log_faults() == []


def test_saying_connected_is_not_enough(stage: Stage, sdk: Agent, tmp_path: Path) -> None:
    outcome = walk(stage, sdk, (Step(("/bin/echo", "Connected"), "Connected"),), tmp_path)
    assert outcome.fault == "never asked for the tools"


def test_a_refused_token_is_a_fault_that_does_not_repeat_the_token(stage: Stage, sdk: Agent, tmp_path: Path) -> None:
    steps = tuple(Step((*step.command[:-1], "{token}x"), step.says) for step in sdk.token)
    outcome = walk(stage, sdk, steps, tmp_path)
    assert "exit 1" in outcome.fault
    assert stage.token not in outcome.fault


def test_a_login_that_was_not_needed_or_did_not_happen_is_a_fault(stage: Stage, sdk: Agent, tmp_path: Path) -> None:
    with_token = tuple(Step(step.command, step.says, signs_in=True) for step in sdk.token)
    assert walk(stage, sdk, with_token, tmp_path).fault == "printed no sign-in link"


def test_the_commands_that_the_portal_prints_are_the_ones_that_are_tried() -> None:
    assert commands("Claude Code", ("x",))[0][:2] == ("x", "mcp")
    login = next(agent for agent in agents(NOWHERE) if agent.name == "opencode").login
    tried = [step.command[1:] for step in login]
    assert all(command[1:] in tried for command in commands("opencode", ("opencode",)))


def test_a_kept_login_is_renewed_outlives_a_restart_and_ends_with_its_grant(tmp_path: Path, sdk: Agent) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    with standing(data, NOWHERE) as stage:
        assert walk(stage, sdk, sdk.login, home).fault == ""
        assert walk(stage, sdk, sdk.again, home).grants == frozenset(), "the token is still good"
        assert walk(stage, sdk, sdk.again, home, ended=True).fault == "was served although its grant had ended"
        kept = home / "python-login.json"
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {"expires_at": 1}))
        stage.restart()
        outcome = walk(stage, sdk, sdk.again, home)
        assert (outcome.fault, outcome.grants) == ("", frozenset({"refresh_token"}))
        stage.revoke()
        assert walk(stage, sdk, sdk.again, home).fault != ""
        assert walk(stage, sdk, sdk.refused, home, ended=True).fault == ""
        outcome = walk(stage, sdk, sdk.anew, home)
        assert (outcome.fault, outcome.grants) == ("", frozenset({"authorization_code"}))
        assert stage.log_faults() == []


def test_an_agent_that_stays_away_has_not_been_turned_away(stage: Stage, sdk: Agent, tmp_path: Path) -> None:
    outcome = walk(stage, sdk, (Step(("/bin/echo", "authorize?"), "authorize"),), tmp_path, ended=True)
    assert outcome.fault == "never came back, so nothing turned it away"
