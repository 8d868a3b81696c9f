"""Every call passes the steps in order; what is refused is never sent, what is sent is on the record first."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit
from portal.sandbox.contract import CallFailed, CallRevoked
from portal.upstream.failures import Kind, UpstreamFailure
from tests.gate.standing import CLOSE_ISSUE, DELETE_PROJECT, GET_ISSUE, LIST_BOARDS, READER, WRITER, Standing, turns


async def test_a_call_reaches_the_upstream_under_its_own_names_and_is_recorded(
    audit: Audit, engine: AsyncEngine
) -> None:
    standing = Standing(audit, engine)
    program = await standing.program()
    answer = await program.call("gitlab", "get_issue", project_id="é", from_="2026")
    assert answer == {"tool": "get-issue", "arguments": {"project-id": "é", "from": "2026"}}
    assert standing.upstream.principals == [WRITER]
    [call] = await program.recorded()
    canonical = '{"from":"2026","project-id":"é"}'.encode()
    assert (call.server, call.tool, call.effect) == ("gitlab", "get_issue", "read")
    assert (call.decision, call.policy_ids, call.outcome) == ("allow", ("anyone-may-read",), "ok")
    assert call.argument_names == ("project-id", "from")
    assert (call.arguments_sha256, call.argument_bytes) == (hashlib.sha256(canonical).hexdigest(), len(canonical))
    assert call.result_bytes == len('{"tool":"get-issue","arguments":{"project-id":"é","from":"2026"}}'.encode())
    assert program.outcomes() == [("gitlab.get_issue", "ok")]


async def test_arguments_never_stand_in_the_record(audit: Audit, engine: AsyncEngine) -> None:
    standing = Standing(audit, engine)
    program = await standing.program()
    await program.call("gitlab", "get_issue", project_id="hunter2")
    with pytest.raises(CallFailed):
        await program.call("gitlab", "get_issue", hunter2=1)
    with pytest.raises(CallFailed):
        await program.call("gitlab", "get_issue", project_id=["hunter2"])
    await program.recorded()
    async with engine.connect() as connection:
        assert "hunter2" not in str((await connection.execute(text("SELECT * FROM audit_calls"))).all())


async def test_a_forbidden_tool_is_answered_as_if_it_did_not_exist(audit: Audit, engine: AsyncEngine) -> None:
    forbidden = await Standing(audit, engine).program(READER)
    absent = await Standing(audit, engine, tools=(GET_ISSUE, LIST_BOARDS)).program(READER)
    for function in ("close_issue", "delete_project"):
        answers = []
        for program in (forbidden, absent):
            with pytest.raises(CallFailed) as failed:
                await program.call("gitlab", function, issue=1)
            answers.append((failed.value.message, failed.value.error))
        assert answers[0] == answers[1]
        assert answers[0][1] == "LookupError"
        assert answers[0][0].startswith(f"no tool gitlab.{function}; ")
    assert forbidden.outcomes() == absent.outcomes()
    assert [call.decision for call in await forbidden.recorded()] == ["deny", "deny"]
    assert [call.decision for call in await absent.recorded()] == ["unknown", "unknown"]


async def test_only_visible_tools_are_suggested(audit: Audit, engine: AsyncEngine) -> None:
    standing = Standing(audit, engine)
    with pytest.raises(CallFailed) as failed:
        await (await standing.program(WRITER)).call("gitlab", "close_issues")
    assert "did you mean gitlab.close_issue" in failed.value.message
    with pytest.raises(CallFailed) as failed:
        await (await standing.program(READER)).call("gitlab", "close_issues")
    assert "close_issue?" not in failed.value.message
    with pytest.raises(CallFailed) as failed:
        await (await standing.program(READER)).call("gitlb", "get_issue")
    assert "did you mean gitlab.get_issue?" in failed.value.message


async def test_a_name_that_a_program_made_up_is_neither_long_nor_multiline_in_the_message(
    audit: Audit, engine: AsyncEngine
) -> None:
    program = await Standing(audit, engine).program()
    with pytest.raises(CallFailed) as failed:
        await program.call("gitlab", "x\n" * 10_000)
    assert len(failed.value.message) < 200
    assert "\n" not in failed.value.message


@pytest.mark.requirement("GW-51")
async def test_what_is_visible_is_exactly_what_may_be_called(audit: Audit, engine: AsyncEngine) -> None:
    gate = Standing(audit, engine).gate
    allowed = gate.allowed(READER)
    assert [allowed(tool) for tool in (GET_ISSUE, CLOSE_ISSUE, DELETE_PROJECT)] == [True, False, False]
    assert [gate.allowed(WRITER)(tool) for tool in (GET_ISSUE, CLOSE_ISSUE, DELETE_PROJECT)] == [True, True, False]


@pytest.mark.requirement("GW-51")
async def test_refused_calls_are_never_sent(audit: Audit, engine: AsyncEngine) -> None:
    standing = Standing(audit, engine)
    program = await standing.program(READER)
    for function, arguments in (("close_issue", {"issue": 1}), ("get_issue", {}), ("nothing", {})):
        with pytest.raises(CallFailed):
            await program.session.call("gitlab", function, arguments)
    assert standing.upstream.calls == []


async def test_a_write_is_on_disk_before_it_is_sent(audit: Audit, engine: AsyncEngine) -> None:
    seen: list[Any] = []

    async def look(_tool: str, _arguments: dict[str, Any]) -> None:
        async with engine.connect() as connection:
            statement = text("SELECT c.tool, c.outcome FROM audit_calls c JOIN audit_programs p ON p.id = c.program_id")
            seen.extend((await connection.execute(statement)).all())

    program = await Standing(audit, engine, look).program()
    await program.call("gitlab", "close_issue", issue=7)
    assert seen == [("close_issue", "running")]
    assert [call.outcome for call in await program.recorded()] == ["ok"]


async def test_a_write_that_cannot_be_recorded_is_not_sent_and_ends_the_program(
    audit: Audit, engine: AsyncEngine
) -> None:
    standing = Standing(audit, engine)
    program = await standing.program()
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE audit_calls"))
    with pytest.raises(CallRevoked) as revoked:
        await program.call("gitlab", "close_issue", issue=7)
    assert revoked.value.limit == "record"
    assert standing.upstream.calls == []
    with pytest.raises(CallRevoked):
        await program.call("gitlab", "get_issue", project_id="x")
    assert standing.upstream.calls == []
    assert program.outcomes() == [("gitlab.close_issue", "unrecorded"), ("gitlab.get_issue", "unrecorded")]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("not_found", "LookupError"),
        ("forbidden", "PermissionError"),
        ("invalid", "ValueError"),
        ("rate_limited", "OSError"),
        ("unavailable", "OSError"),
        ("timeout", "TimeoutError"),
        ("upstream", "RuntimeError"),
    ],
)
async def test_every_kind_of_failure_becomes_a_python_error_and_an_outcome(
    audit: Audit, engine: AsyncEngine, kind: Kind, error: str
) -> None:
    async def fail(_tool: str, _arguments: dict[str, Any]) -> None:
        raise UpstreamFailure("gitlab", kind, "no such thing")

    program = await Standing(audit, engine, fail).program()
    with pytest.raises(CallFailed) as failed:
        await program.call("gitlab", "get_issue", project_id="x")
    assert failed.value.error == error
    assert failed.value.message.startswith("gitlab.get_issue: no such thing. ")
    assert failed.value.__cause__ is None
    assert program.outcomes() == [("gitlab.get_issue", kind)]
    assert [call.outcome for call in await program.recorded()] == [kind]


@pytest.mark.parametrize(
    ("function", "failure", "advice"),
    [
        ("get_issue", UpstreamFailure("g", "rate_limited", "slow down", retry_after_s=2.3), "Try again after 3 s"),
        ("get_issue", UpstreamFailure("g", "rate_limited", "x", retry_after_s=float("inf")), "Try again after 5 s"),
        ("get_issue", UpstreamFailure("g", "rate_limited", "x", retry_after_s=float("nan")), "Try again after 5 s"),
        ("get_issue", UpstreamFailure("g", "unavailable", "down", retryable=True), "Try again after 5 s"),
        ("get_issue", UpstreamFailure("g", "not_found", "gone"), "would fail again"),
        ("close_issue", UpstreamFailure("g", "timeout", "late", retryable=True), "Whether it took effect is not known"),
        ("close_issue", UpstreamFailure("g", "unavailable", "broke"), "Whether it took effect is not known"),
        ("close_issue", UpstreamFailure("g", "unavailable", "down", sent=False), "Try again after 5 s"),
        ("close_issue", UpstreamFailure("g", "rate_limited", "x", retry_after_s=5), "Try again after 5 s"),
        ("close_issue", UpstreamFailure("g", "invalid", "no"), "would fail again"),
    ],
)
async def test_the_message_says_whether_to_try_again(
    audit: Audit, engine: AsyncEngine, function: str, failure: UpstreamFailure, advice: str
) -> None:
    async def fail(_tool: str, _arguments: dict[str, Any]) -> None:
        raise failure

    program = await Standing(audit, engine, fail).program()
    arguments: dict[str, Any] = {"issue": 1} if function == "close_issue" else {"project_id": "x"}
    with pytest.raises(CallFailed) as failed:
        await program.session.call("gitlab", function, arguments)
    assert advice in failed.value.message


async def test_a_fault_of_ours_is_not_shown_to_the_program(audit: Audit, engine: AsyncEngine) -> None:
    async def broken(_tool: str, _arguments: dict[str, Any]) -> None:
        raise KeyError("secret-token")

    program = await Standing(audit, engine, broken).program()
    with pytest.raises(CallFailed) as failed:
        await program.call("gitlab", "get_issue", project_id="x")
    assert "secret-token" not in failed.value.message
    assert [call.outcome for call in await program.recorded()] == ["error"]


async def test_a_call_that_is_not_answered_in_time_ends(audit: Audit, engine: AsyncEngine) -> None:
    async def never(_tool: str, _arguments: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    standing = Standing(audit, engine, never, call_timeout_s=0.01)
    program = await standing.program()
    with pytest.raises(CallFailed) as failed:
        await program.call("gitlab", "get_issue", project_id="x")
    assert failed.value.error == "TimeoutError"
    assert [call.outcome for call in await program.recorded()] == ["timeout"]
    assert standing.upstream.in_flight == 0


async def test_a_write_that_found_no_place_in_time_was_not_sent(audit: Audit, engine: AsyncEngine) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    async def holding(_tool: str, _arguments: dict[str, Any]) -> None:
        started.set()
        try:
            await released.wait()
        except asyncio.CancelledError:
            await released.wait()
            raise

    standing = Standing(audit, engine, holding, upstream_concurrency=1, call_timeout_s=0.02)
    first, second = await standing.program(), await standing.program()
    held = asyncio.create_task(first.call("gitlab", "get_issue", project_id="x"))
    await started.wait()
    with pytest.raises(CallFailed) as failed:
        await second.call("gitlab", "close_issue", issue=1)
    released.set()
    await asyncio.gather(held, return_exceptions=True)
    assert failed.value.error == "TimeoutError"
    assert failed.value.message.endswith("Try again after 5 s")
    assert second.outcomes() == [("gitlab.close_issue", "not sent")]
    assert [call.outcome for call in await second.recorded()] == ["not sent"]


async def test_a_cancelled_call_is_recorded_as_cancelled_and_frees_its_place(audit: Audit, engine: AsyncEngine) -> None:
    started = asyncio.Event()

    async def slow(_tool: str, arguments: dict[str, Any]) -> str:
        if arguments["project-id"] == "slow":
            started.set()
            await asyncio.Event().wait()
        return "done"

    standing = Standing(audit, engine, slow, upstream_concurrency=1)
    program = await standing.program()
    calling = asyncio.create_task(program.call("gitlab", "get_issue", project_id="slow"))
    await started.wait()
    assert program.outcomes() == [("gitlab.get_issue", "running")]
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert [call.outcome for call in await program.recorded()] == ["cancelled"]
    assert await program.call("gitlab", "get_issue", project_id="fast") == "done"


async def test_calls_are_listed_in_the_order_in_which_they_began(audit: Audit, engine: AsyncEngine) -> None:
    first_may_end = asyncio.Event()

    async def answer(tool: str, _arguments: dict[str, Any]) -> None:
        if tool == "get-issue":
            await first_may_end.wait()
        else:
            first_may_end.set()

    program = await Standing(audit, engine, answer).program()
    await asyncio.gather(program.call("gitlab", "get_issue", project_id="x"), program.call("jira", "list_boards"))
    assert program.outcomes() == [("gitlab.get_issue", "ok"), ("jira.list_boards", "ok")]
    assert all(call.elapsed_ms >= 0 for call in program.session.calls)


async def test_one_write_over_the_limit_ends_the_program_however_many_run_at_once(
    audit: Audit, engine: AsyncEngine
) -> None:
    standing = Standing(audit, engine, writes_per_program=3)
    program = await standing.program()
    ends = await asyncio.gather(
        *(program.call("gitlab", "close_issue", issue=number) for number in range(5)), return_exceptions=True
    )
    revoked = [end for end in ends if isinstance(end, CallRevoked)]
    assert len(revoked) == 2
    assert {end.limit for end in revoked} == {"writes_per_program"}
    assert len(standing.upstream.calls) == 3
    assert sorted(call.outcome for call in await program.recorded()) == ["ok"] * 3 + ["over budget"] * 2
    await (await standing.program()).call("gitlab", "close_issue", issue=9)


async def test_reads_and_invalid_writes_take_no_write(audit: Audit, engine: AsyncEngine) -> None:
    program = await Standing(audit, engine, writes_per_program=1).program()
    await program.call("gitlab", "get_issue", project_id="x")
    with pytest.raises(CallFailed):
        await program.call("gitlab", "close_issue", issue="seven")
    await program.call("gitlab", "close_issue", issue=7)


async def test_a_minute_budget_is_a_persons_own_over_all_clients_and_fills_again(
    audit: Audit, engine: AsyncEngine
) -> None:
    now_s = [1_000.0]
    standing = Standing(audit, engine, clock=lambda: now_s[0], calls_per_minute=6)
    program = await standing.program()
    for _ in range(6):
        await program.call("jira", "list_boards")
    other_client = await standing.program(replace(WRITER, client_id="agent-2"))
    for spent in (program, program, other_client):
        with pytest.raises(CallFailed) as failed:
            await spent.call("jira", "list_boards")
        assert failed.value.error == "OSError"
        assert "after 10 s" in failed.value.message
    assert [call.outcome for call in await program.recorded()].count("over budget") == 1
    await (await standing.program(READER)).call("jira", "list_boards")
    now_s[0] += 10.0
    await program.call("jira", "list_boards")
    with pytest.raises(CallFailed):
        await program.call("jira", "list_boards")


async def test_no_more_calls_than_configured_are_in_flight_to_one_upstream(audit: Audit, engine: AsyncEngine) -> None:
    gate_open = asyncio.Event()

    async def wait(_tool: str, _arguments: dict[str, Any]) -> None:
        await gate_open.wait()

    standing = Standing(audit, engine, wait, upstream_concurrency=2)
    program = await standing.program()
    calling = [asyncio.create_task(program.call("gitlab", "get_issue", project_id="x")) for _ in range(6)]
    elsewhere = asyncio.create_task(program.call("jira", "list_boards"))
    await turns()
    assert [server for server, _, _ in standing.upstream.calls] == ["gitlab", "gitlab", "jira"]
    gate_open.set()
    await asyncio.gather(*calling, elsewhere)
    assert standing.upstream.most_in_flight == 3


async def test_one_person_with_many_calls_does_not_keep_another_waiting(audit: Audit, engine: AsyncEngine) -> None:
    order: list[str] = []
    gate_open = asyncio.Event()

    async def answer(_tool: str, arguments: dict[str, Any]) -> None:
        order.append(arguments["project-id"])
        await gate_open.wait()

    standing = Standing(audit, engine, answer, upstream_concurrency=1)
    busy, quiet = await standing.program(WRITER), await standing.program(READER)
    calling = [asyncio.create_task(busy.call("gitlab", "get_issue", project_id="busy")) for _ in range(20)]
    await turns()
    calling.append(asyncio.create_task(quiet.call("gitlab", "get_issue", project_id="quiet")))
    await turns()
    gate_open.set()
    await asyncio.gather(*calling)
    assert order[:4] == ["busy", "busy", "quiet", "busy"]
