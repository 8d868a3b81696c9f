"""Calls in this process go to the server's own handler. What a server may rely on is there, and nothing is shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import mcp_types as t
import pytest
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext
from mcp.shared.exceptions import NoBackChannelError

from portal.upstream.failures import UpstreamFailure
from tests.upstream.serving import ALICE, Changed, held, in_process, one_tool, server, text

Context = ServerRequestContext[Any]


async def failing(work: Any) -> tuple[str, str]:
    with pytest.raises(UpstreamFailure) as caught:
        await work
    return caught.value.kind, caught.value.message


async def test_the_servers_middleware_stands_around_its_calls_in_order() -> None:
    passed: list[str] = []

    async def handler(_ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        return t.CallToolResult(content=[], structured_content=params.arguments)

    def noting(name: str) -> Any:
        async def middleware(ctx: Context, call_next: CallNext) -> Any:
            if ctx.method != "tools/call":
                return await call_next(ctx)
            passed.append(name)
            assert ctx.params is not None
            arguments = {**ctx.params["arguments"], name: len(passed)}
            return await call_next(replace(ctx, params={**ctx.params, "arguments": arguments}))

        return middleware

    made = server(handler)
    made.middleware += [noting("outer"), noting("inner")]
    async with in_process(made) as connection:
        assert await connection.call("x", {"given": 0}, ALICE, 5) == {"given": 0, "outer": 1, "inner": 2}
    assert passed == ["outer", "inner"]


async def test_a_call_sees_what_the_server_lives_in_now_and_its_own_number() -> None:
    opened: list[str] = []
    closed: list[str] = []

    @asynccontextmanager
    async def lifespan(_server: Server[Any]) -> AsyncIterator[str]:
        opened.append(f"life {len(opened)}")
        try:
            yield opened[-1]
        finally:
            closed.append(opened[-1])

    async def handler(ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        seen = [ctx.lifespan_context, ctx.request_id, ctx.method, ctx.request, ctx.session.can_send_request]
        return t.CallToolResult(content=[], structured_content={"result": seen})

    made = server(handler, lifespan=lifespan)
    async with in_process(made) as connection:
        assert await connection.call("x", {}, ALICE, 5) == ["life 0", 1, "tools/call", None, False]
        assert await connection.call("x", {}, ALICE, 5) == ["life 0", 2, "tools/call", None, False]
    assert closed == ["life 0"]
    async with held(connection):
        assert await connection.call("x", {}, ALICE, 5) == ["life 1", 3, "tools/call", None, False]


async def test_neither_side_can_change_what_the_other_holds() -> None:
    kept: dict[str, Any] = {"rows": [1]}

    async def handler(_ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        assert params.arguments is not None
        params.arguments["deep"]["list"].append("changed")
        return t.CallToolResult(content=[], structured_content=kept)

    arguments: dict[str, Any] = {"deep": {"list": []}}
    async with in_process(server(handler)) as connection:
        answer = await connection.call("x", arguments, ALICE, 5)
    kept["rows"].append(2)
    assert arguments == {"deep": {"list": []}}
    assert answer == {"rows": [1]}


@pytest.mark.parametrize("error", [TimeoutError("secret"), RuntimeError("secret"), ValueError("secret")])
async def test_what_a_handler_raises_is_its_servers_failure_without_its_words(error: Exception) -> None:
    async def handler(_ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        raise error

    async with in_process(server(handler)) as connection:
        assert await failing(connection.call("x", {}, ALICE, 5)) == ("upstream", "the server refused the request")
        assert connection.state == "ready"


@pytest.mark.parametrize(
    "answer", [None, {}, {"content": "text"}, {"content": [{"type": "text", "text": 5}]}, t.EmptyResult(), "text"]
)
async def test_an_answer_that_is_not_one_fails_the_call(answer: Any) -> None:
    async def handler(_ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        return answer  # type: ignore[no-any-return]

    async with in_process(server(handler)) as connection:
        assert await failing(connection.call("x", {}, ALICE, 5)) == ("upstream", "the answer is not MCP")
        assert connection.state == "ready"


async def test_an_answer_may_be_plain_json_and_a_refusal_an_error() -> None:
    answers: list[Any] = [
        {"content": [], "structuredContent": {"result": 7}},
        t.ErrorData(code=t.INVALID_PARAMS, message="secret"),
        t.ErrorData(code=t.INTERNAL_ERROR, message="secret"),
    ]

    async def handler(_ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        return answers.pop(0)  # type: ignore[no-any-return]

    async with in_process(server(handler)) as connection:
        assert await connection.call("x", {}, ALICE, 5) == 7
        assert await failing(connection.call("x", {}, ALICE, 5)) == ("invalid", "the server refused the request")
        assert await failing(connection.call("x", {}, ALICE, 5)) == ("upstream", "the server refused the request")


async def test_a_server_without_tools_refuses() -> None:
    async with in_process(Server("made", version="1", on_list_tools=one_tool)) as connection:
        assert await failing(connection.call("x", {}, ALICE, 5)) == ("upstream", "the server refused the request")


async def test_a_server_can_tell_and_ask_its_caller_nothing() -> None:
    async def handler(ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        await ctx.session.send_tool_list_changed()
        await ctx.session.report_progress(0.5)
        with pytest.raises(NoBackChannelError):
            await ctx.session.send_request(t.PingRequest(), t.EmptyResult)
        return text("1")

    changed = Changed()
    async with in_process(server(handler), changed) as connection:
        said = changed.count
        assert await connection.call("x", {}, ALICE, 5) == 1
        assert changed.count == said


async def test_a_call_that_takes_too_long_is_cancelled_in_its_server() -> None:
    cancelled = asyncio.Event()

    async def handler(_ctx: Context, _params: t.CallToolRequestParams) -> t.CallToolResult:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return text("never")

    async with in_process(server(handler)) as connection:
        assert await failing(connection.call("x", {}, ALICE, 0.01)) == ("timeout", "no answer in time")
        assert cancelled.is_set()
        assert connection.state == "ready"
