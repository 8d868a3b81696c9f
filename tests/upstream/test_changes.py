"""An upstream that says its tools changed is listed again: in both protocol eras, in process and over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp_types as t
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

from tests.upstream.serving import (
    ALICE,
    Changed,
    answer_one,
    held,
    in_process,
    over_http,
    remote_connection,
    server,
    telling,
    text,
)


async def listening(handler: Any) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(10):
        while not handler._streams:
            await asyncio.sleep(0.005)


async def test_a_change_in_process_is_told() -> None:
    made, bus, handler = telling()
    changed = Changed()
    async with in_process(made, changed) as connection:
        await listening(handler)
        assert changed.count == 1
        await bus.publish(ToolsListChanged())
        await changed.reached(2)
        assert await connection.call("get_one", {}, ALICE, 5) == 1


async def test_a_change_over_http_is_told_and_calls_go_on_beside_the_stream() -> None:
    made, bus, handler = telling()
    changed = Changed()
    async with over_http(made) as (remote, _), held(remote_connection(remote.url, changed)) as connection:
        await listening(handler)
        await bus.publish(ToolsListChanged())
        await changed.reached(2)
        assert await connection.call("get_one", {}, ALICE, 5) == 1


async def test_after_a_lost_stream_it_listens_again_and_tells_what_it_may_have_missed() -> None:
    made, bus, handler = telling()
    changed = Changed()
    async with over_http(made) as (remote, _), held(remote_connection(remote.url, changed)) as connection:
        await listening(handler)
        handler.close()
        async with asyncio.timeout(10):
            while handler._streams:
                await asyncio.sleep(0.005)
        await listening(handler)
        await changed.reached(2)
        assert connection.state == "ready"
        await bus.publish(ToolsListChanged())
        await changed.reached(3)


async def test_an_abrupt_end_of_the_stream_does_not_break_the_connection() -> None:
    streams = 0
    again = asyncio.Event()

    async def listen(ctx: ServerRequestContext[Any], params: t.SubscriptionsListenRequestParams) -> Any:
        nonlocal streams
        streams += 1
        if streams > 1:
            again.set()
        raise MCPError(t.INTERNAL_ERROR, "no streams left")

    async with in_process(server(on_subscriptions_listen=listen)) as connection:
        async with asyncio.timeout(10):
            await again.wait()
        assert connection.state == "ready"
        assert await connection.call("get_one", {}, ALICE, 5) == 1


async def test_a_server_that_refuses_to_be_listened_to_is_asked_once() -> None:
    streams = 0
    asked = asyncio.Event()

    async def listen(_ctx: ServerRequestContext[Any], _params: t.SubscriptionsListenRequestParams) -> Any:
        nonlocal streams
        streams += 1
        asked.set()
        raise MCPError(t.METHOD_NOT_FOUND, "no")

    async with in_process(server(on_subscriptions_listen=listen)) as connection:
        await asked.wait()
        assert await connection.call("get_one", {}, ALICE, 5) == 1
        listeners = [task for task in asyncio.all_tasks() if task.get_name() == "listen-made"]
        await asyncio.wait(listeners, timeout=10)
        assert all(task.done() for task in listeners)
    assert streams == 1


async def test_a_server_that_honours_nothing_is_not_listened_to() -> None:
    ended = asyncio.Event()

    async def listen(ctx: ServerRequestContext[Any], params: t.SubscriptionsListenRequestParams) -> Any:
        ended.set()
        return t.SubscriptionsListenResult(_meta={"io.modelcontextprotocol/subscriptionId": ctx.request_id})

    async with in_process(server(on_subscriptions_listen=listen)) as connection:
        await ended.wait()
        assert await connection.call("get_one", {}, ALICE, 5) == 1
        listeners = [task for task in asyncio.all_tasks() if task.get_name() == "listen-made"]
        await asyncio.wait(listeners, timeout=10)
        assert all(task.done() for task in listeners)


async def test_a_change_of_prompts_is_not_a_change_of_tools() -> None:
    made, bus, handler = telling()
    changed = Changed()
    async with in_process(made, changed):
        await listening(handler)
        await bus.publish(PromptsListChanged())
        await bus.publish(ToolsListChanged())
        await changed.reached(2)
        assert changed.count == 2


async def test_a_flood_of_changes_is_told_as_one() -> None:
    made, bus, handler = telling()
    changed = Changed()
    async with in_process(made, changed):
        await listening(handler)
        for _ in range(50):
            await bus.publish(ToolsListChanged())
        await changed.reached(2)
        for _ in range(50):
            await bus.publish(ToolsListChanged())
        for _ in range(50):
            await asyncio.sleep(0)
        assert changed.count == 2


async def test_a_server_of_the_older_protocol_tells_by_itself() -> None:
    async def call(ctx: ServerRequestContext[Any], _params: t.CallToolRequestParams) -> t.CallToolResult:
        await ctx.session.send_tool_list_changed()
        return text("told")

    async def discover(_ctx: ServerRequestContext[Any], _params: Any) -> Any:
        raise MCPError(t.METHOD_NOT_FOUND, "older")

    made = server(call)
    made.add_request_handler("server/discover", t.RequestParams, discover)
    changed = Changed()
    async with (
        over_http(made, stateless=False) as (remote, seen),
        held(remote_connection(remote.url, changed)) as connection,
    ):
        assert await connection.call("get_one", {}, ALICE, 5) == "told"
        await changed.reached(2)
        assert any("mcp-session-id" in headers for headers in seen.headers)


async def test_a_server_without_news_is_not_listened_to() -> None:
    async with in_process(server(answer_one)) as connection:
        listeners = [task for task in asyncio.all_tasks() if task.get_name() == "listen-made"]
        await asyncio.wait(listeners, timeout=10)
        assert await connection.call("get_one", {}, ALICE, 5) == 1
