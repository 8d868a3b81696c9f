"""The two tools as an agent of either protocol era meets them."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import mcp_types as t
import pytest
from mcp.shared.exceptions import MCPError
from structlog.testing import capture_logs

from portal.endpoint.server import INSTRUCTIONS, Progress
from portal.endpoint.tools import definitions
from tests.endpoint.serving import ERAS, Behind, Said, Waiting, agent, application, reaching, said
from tests.upstream.serving import ALICE, on_port

SECRET = "sk-live-hunter2"


@pytest.mark.parametrize("era", ERAS)
async def test_there_are_exactly_two_tools(era: str) -> None:
    async with agent(Behind(), era) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["search", "execute"]
        assert listed.next_cursor is None
        if era == "legacy":
            assert client.instructions == INSTRUCTIONS


def test_the_definitions_stay_small() -> None:
    wire = json.dumps([tool.model_dump(by_alias=True, exclude_none=True) for tool in definitions()])
    # Four characters to a token, and not one of the 400 for the space between: a bound on the safe side.
    assert len(wire) < 2_000


@pytest.mark.parametrize("era", ERAS)
async def test_a_search_and_a_program_reach_their_rooms_as_the_principal(era: str) -> None:
    behind = Behind()
    async with agent(behind, era) as client:
        assert said(await client.call_tool("search", {"queries": ["a", "b"], "server": "notes", "limit": 3})) == (
            "found",
            False,
        )
        assert said(await client.call_tool("search", {})) == ("found", False)
        assert said(await client.call_tool("execute", {"code": "1"})) == ("ran 1", False)
    assert behind.searches == [(["a", "b"], "notes", 3), ([], None, None)]
    assert behind.programs == ["1"]
    assert behind.principals == [ALICE] * 3


@pytest.mark.parametrize("era", ERAS)
async def test_a_program_that_failed_is_an_error_of_the_tool(era: str) -> None:
    async def fail(_code: str, _progress: Progress | None) -> Said:
        return Said("failed: raised", is_error=True)

    async with agent(Behind(fail), era) as client:
        assert said(await client.call_tool("execute", {"code": "1/0"})) == ("failed: raised", True)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", ["Search", "run", "", "execute "])
async def test_an_unknown_tool_is_an_error_of_the_protocol(era: str, name: str) -> None:
    async with agent(Behind(), era) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool(name, {})
    assert caught.value.error.code == t.INVALID_PARAMS


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("execute", {}, "give code, or resume with the id of a paused program, not both"),
        ("execute", {"code": "1", "resume": "x"}, "give code, or resume with the id of a paused program, not both"),
        ("execute", {"resume": ""}, "resume: String should have at least 1 character"),
        ("execute", {"resume": SECRET * 9}, "resume: String should have at most 100 characters"),
        ("execute", {"code": 5}, "code: Input should be a valid string"),
        ("execute", {"code": ""}, "code: String should have at least 1 character"),
        ("execute", {"code": [SECRET]}, "code: Input should be a valid string"),
        ("execute", {"code": "1", "again": SECRET}, "again: Extra inputs are not permitted"),
        ("search", {"queries": SECRET}, "queries: Input should be a valid list"),
        ("search", {"queries": [1]}, "queries.0: Input should be a valid string"),
        ("search", {"queries": [SECRET * 30]}, "queries.0: String should have at most 300 characters"),
        ("search", {"queries": [SECRET] * 11}, "queries: List should have at most 10 items after validation, not 11"),
        ("search", {"limit": "8"}, "limit: Input should be a valid integer"),
        ("search", {"limit": 31}, "limit: Input should be less than or equal to 30"),
        ("search", {"limit": True}, "limit: Input should be a valid integer"),
        ("search", {"server": SECRET * 10}, "server: String should have at most 100 characters"),
    ],
)
async def test_wrong_arguments_are_named_and_never_repeated(
    era: str, tool: str, arguments: dict[str, Any], says: str
) -> None:
    behind = Behind()
    async with agent(behind, era) as client:
        text, failed = said(await client.call_tool(tool, arguments))
    assert failed
    assert text == f"Bad arguments: {says}"
    assert not behind.principals


@pytest.mark.parametrize("era", ERAS)
async def test_names_that_were_made_up_are_bounded_in_the_answer(era: str) -> None:
    async with agent(Behind(), era) as client:
        text, failed = said(await client.call_tool("search", {f"{SECRET}\n{'x' * 900}{n}": 1 for n in range(9)}))
    assert failed
    assert len(text) < 600
    assert text.isprintable()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ["search", "execute"])
async def test_what_breaks_inside_is_logged_under_an_id_and_says_nothing(era: str, tool: str) -> None:
    async def broken(_code: str, _progress: Progress | None) -> Said:
        raise RuntimeError(SECRET)

    behind = Behind(broken, search_error=RuntimeError(SECRET))
    arguments = {"code": "1"} if tool == "execute" else {}
    with capture_logs() as logged:
        async with agent(behind, era) as client:
            text, failed = said(await client.call_tool(tool, arguments))
    assert failed
    found = re.fullmatch(r"The portal failed; nothing is wrong with your request\. Error id ([0-9a-f]{12})\.", text)
    assert found is not None
    (line,) = [line for line in logged if line["event"] == "endpoint.failed"]
    assert line["error_id"] == found[1]
    assert line["tool"] == tool


async def three_steps(_code: str, progress: Progress | None) -> Said:
    if progress is not None:
        for done in (1, 2, 5):
            await progress(done, f"catalog.step_{done}")
    return Said("done")


@pytest.mark.parametrize("era", ERAS)
async def test_progress_reaches_a_client_that_asks_in_order(era: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with agent(Behind(three_steps), era) as client:
        assert said(await client.call_tool("execute", {"code": "1"}, progress_callback=hear)) == ("done", False)
    assert heard == [
        (1, None, "catalog.step_1"),
        (2, None, "catalog.step_2"),
        (5, None, "catalog.step_5"),
    ]


@pytest.mark.parametrize("era", ERAS)
async def test_without_being_asked_nothing_is_told(era: str) -> None:
    behind = Behind(three_steps)
    async with agent(behind, era) as client:
        assert said(await client.call_tool("execute", {"code": "1"})) == ("done", False)
    assert behind.progresses == [None]


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cancels_its_call_ends_the_program(era: str) -> None:
    waiting = Waiting()
    async with agent(Behind(waiting), era) as client:
        calling = asyncio.create_task(client.call_tool("execute", {"code": "1"}))
        await asyncio.wait_for(waiting.started.wait(), 10)
        calling.cancel()
        await asyncio.wait_for(waiting.cancelled.wait(), 10)
        with pytest.raises(asyncio.CancelledError):
            await calling


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_goes_away_ends_its_program(era: str) -> None:
    waiting = Waiting()
    async with application(Behind(waiting), hosts=["127.0.0.1:*"]) as app, on_port(app) as remote:

        async def go() -> None:
            async with reaching(remote, era) as client:
                await client.call_tool("execute", {"code": "1"})

        calling = asyncio.create_task(go())
        await asyncio.wait_for(waiting.started.wait(), 10)
        remote.die()
        await asyncio.wait_for(waiting.cancelled.wait(), 10)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
