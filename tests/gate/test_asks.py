"""A call that policy asks about: not made before a yes, judged anew after it, and made as what it was when it was seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit
from portal.catalogue.records import ServerState
from portal.catalogue.snapshot import Catalogue
from portal.sandbox.contract import CallFailed, CallPaused, CallRevoked, PendingCall
from portal.upstream.failures import UpstreamFailure
from tests.gate.standing import CLOSE_ISSUE, DELETE_PROJECT, TOOLS, WRITER, Program, Standing

POLICY = """\
@id("asks") @ask("Everybody sees it.") permit (principal, action == Action::"write", resource);
@id("asks-to-delete") @ask("It is gone then.") permit (principal, action == Action::"destructive", resource);
"""


@pytest.fixture
def policies(tmp_path: Path) -> list[Path]:
    (tmp_path / "asking.cedar").write_text(POLICY, encoding="utf-8")
    return [tmp_path / "asking.cedar"]


async def paused(program: Program, function: str, **arguments: Any) -> PendingCall:
    with pytest.raises(CallPaused) as raised:
        await program.call("gitlab", function, **arguments)
    # What is stored is JSON.
    return PendingCall(1, "gitlab", function, arguments, json.loads(json.dumps(raised.value.need)))


async def test_it_is_asked_on_the_record_and_not_made(audit: Audit, engine: AsyncEngine, policies: list[Path]) -> None:
    standing = Standing(audit, engine, policies=policies)
    program = await standing.program()
    call = await paused(program, "close_issue", issue=1)
    assert call.need == {"kind": "ask", "reasons": ["Everybody sees it."], "effect": "write"}
    assert standing.upstream.calls == []
    [record] = await program.recorded()
    assert (record.decision, record.outcome, record.argument_names) == ("ask", "asked", ("issue",))
    assert set(record.policy_ids) == {"asks", "writers-may-write"}
    assert len(record.arguments_sha256) == 64


async def test_what_does_not_fit_is_never_asked_about(audit: Audit, engine: AsyncEngine, policies: list[Path]) -> None:
    program = await Standing(audit, engine, policies=policies).program()
    with pytest.raises(CallFailed):
        await program.call("gitlab", "close_issue", issue="one")


async def test_after_a_yes_it_is_made_and_counted_once(audit: Audit, engine: AsyncEngine, policies: list[Path]) -> None:
    standing = Standing(audit, engine, policies=policies, writes_per_program=1)
    first = await standing.program()
    call = await paused(first, "close_issue", issue=1)
    program = await standing.program(before=json.loads(json.dumps(first.session.state)))
    assert (await program.session.again(call, agreed=True))["arguments"] == {"issue": 1}
    assert program.outcomes() == [("gitlab.close_issue", "ok")]
    with pytest.raises(CallRevoked):
        await program.session.again(call, agreed=True)
    assert len(standing.upstream.calls) == 1


async def test_writes_before_a_pause_count_after_it(audit: Audit, engine: AsyncEngine, policies: list[Path]) -> None:
    standing = Standing(audit, engine, policies=policies, writes_per_program=1)
    call = await paused(await standing.program(), "close_issue", issue=1)
    program = await standing.program(before={"calls": [["gitlab.close_issue", "ok", 1.5]], "writes": 1})
    with pytest.raises(CallRevoked):
        await program.session.again(call, agreed=True)
    assert program.outcomes()[0] == ("gitlab.close_issue", "ok")


@pytest.mark.parametrize("agreed", [False, None])
async def test_without_a_yes_it_is_refused(
    audit: Audit, engine: AsyncEngine, policies: list[Path], agreed: bool | None
) -> None:
    standing = Standing(audit, engine, policies=policies)
    program = await standing.program()
    call = await paused(program, "close_issue", issue=1)
    with pytest.raises(CallFailed) as failed:
        await program.session.again(call, agreed=agreed)
    assert failed.value.error == "PermissionError"
    assert standing.upstream.calls == []
    assert [call.outcome for call in await program.recorded()] == ["asked", "refused"]


@pytest.mark.requirement("RS-77")
async def test_a_yes_does_not_outlive_what_policy_allows(
    audit: Audit, engine: AsyncEngine, policies: list[Path]
) -> None:
    call = await paused(await Standing(audit, engine, policies=policies).program(), "delete_project")
    strict = Standing(audit, engine)
    with pytest.raises(CallFailed) as failed:
        await (await strict.program()).session.again(call, agreed=True)
    assert failed.value.error == "LookupError"
    assert strict.upstream.calls == []


@pytest.mark.requirement("RS-77")
async def test_a_tool_that_does_something_else_by_now_is_asked_about_again(
    audit: Audit, engine: AsyncEngine, policies: list[Path]
) -> None:
    standing = Standing(audit, engine, policies=policies)
    program = await standing.program()
    call = await paused(program, "close_issue", issue=1)
    worse = tuple(replace(tool, effect="destructive") if tool is CLOSE_ISSUE else tool for tool in TOOLS)
    standing.catalogue = Catalogue(worse, [ServerState("gitlab"), ServerState("jira")])
    with pytest.raises(CallPaused) as again:
        await (await standing.program()).session.again(call, agreed=True)
    assert again.value.need["effect"] == "destructive"
    assert standing.upstream.calls == []


async def test_an_account_that_is_missing_costs_no_write_and_no_second_yes(
    audit: Audit, engine: AsyncEngine, policies: list[Path]
) -> None:
    connected = False

    async def answer(_tool: str, arguments: dict[str, Any]) -> Any:
        if not connected:
            raise UpstreamFailure("gitlab", "connect", "no account")
        return arguments

    standing = Standing(audit, engine, answer, policies=policies, writes_per_program=1)
    program = await standing.program()
    call = await paused(program, "close_issue", issue=1)
    with pytest.raises(CallPaused) as needs:
        await program.session.again(call, agreed=True)
    assert needs.value.need == {"kind": "connect", "agreed": "write"}
    connected = True
    assert await program.session.again(replace(call, need=needs.value.need), agreed=None) == {"issue": 1}
    assert program.outcomes() == [("gitlab.close_issue", "ok")]


async def test_a_client_that_acts_for_itself_is_told_and_nothing_waits(
    audit: Audit, engine: AsyncEngine, policies: list[Path]
) -> None:
    async def answer(_tool: str, _arguments: dict[str, Any]) -> Any:
        raise UpstreamFailure("gitlab", "connect", "no account")

    standing = Standing(audit, engine, answer, policies=policies)
    program = await standing.program(replace(WRITER, subject="client:build"))
    for function, arguments in (("close_issue", {"issue": 1}), ("get_issue", {"project_id": "a"})):
        with pytest.raises(CallFailed) as failed:
            await program.call("gitlab", function, **arguments)
        assert failed.value.error == "PermissionError"


def test_the_tools_of_these_tests_are_what_they_are_taken_for() -> None:
    assert (CLOSE_ISSUE.effect, DELETE_PROJECT.effect) == ("write", "destructive")
