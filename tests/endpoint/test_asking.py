"""How a client hears that a person is needed, in both protocol eras, and that its answer never runs the code again."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as t
import pytest

from portal.endpoint.asking import FIELD, KEY, answer_in, asking
from portal.endpoint.server import Progress
from portal.programs.notice import Notice
from tests.endpoint.serving import BASE, ERAS, Behind, Said, agent, browser, said
from tests.upstream.serving import ALICE

URL = "https://portal.example/programs/abc"
ELICITATION: dict[str, Any] = {"url": {"elicitation": {"url": {}}}, "form": {"elicitation": {"form": {}}}, "none": {}}


def notice(*, client: bool) -> Notice:
    return Notice(URL, "A program of yours waits for you", "carried-state", client)


def waiting(*, client: bool = False) -> Behind:
    async def wait(_code: str, _progress: Progress | None) -> Said:
        return Said("paused · 0 calls", pause=notice(client=client))

    return Behind(wait)


async def call(behind: Behind, capabilities: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make one modern call of ``execute`` by hand and return its result as it is on the wire."""
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    params = {"name": "execute", "arguments": {"code": "1"}, "_meta": meta, **more}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "execute",
        "Origin": BASE,
    }
    async with browser(behind) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await http.post("/mcp", json=body, headers=headers)
    text = answer.text
    if text.startswith(("event:", "data:")):
        text = next(line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:"))
    found: dict[str, Any] = json.loads(text)["result"]
    return found


async def test_a_client_that_can_open_pages_is_sent_to_ours() -> None:
    result = await call(waiting(), ELICITATION["url"])
    assert result["resultType"] == "input_required"
    assert result["requestState"] == "carried-state"
    (request,) = result["inputRequests"].values()
    assert request["method"] == "elicitation/create"
    assert request["params"] == {"mode": "url", "message": notice(client=False).message, "url": URL}


@pytest.mark.parametrize(("capability", "client"), [("none", False), ("none", True), ("form", False)])
async def test_any_other_gets_the_text(capability: str, client: bool) -> None:
    result = await call(waiting(client=client), ELICITATION[capability])
    assert result["resultType"] == "complete"
    assert result["content"][0]["text"] == "paused · 0 calls"


async def test_a_form_is_sent_only_where_a_yes_in_the_client_counts() -> None:
    result = await call(waiting(client=True), ELICITATION["form"])
    (request,) = result["inputRequests"].values()
    assert request["params"]["mode"] == "form"
    assert request["params"]["requestedSchema"]["required"] == [FIELD]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ({"action": "accept", "content": {FIELD: True}}, "yes"),
        ({"action": "accept", "content": {FIELD: False}}, "no"),
        ({"action": "accept", "content": {FIELD: "true"}}, "shown"),
        ({"action": "accept"}, "shown"),
        ({"action": "decline"}, "no"),
        ({"action": "cancel"}, "closed"),
    ],
)
async def test_the_same_request_with_our_state_goes_on_and_never_runs_the_code(
    response: dict[str, Any], answer: str
) -> None:
    behind = waiting()
    responses = {KEY: response}
    result = await call(behind, ELICITATION["url"], requestState="carried-state", inputResponses=responses)
    assert result["content"][0]["text"] == "went on"
    assert behind.answers == [("carried-state", "1", answer)]
    assert behind.programs == []


@pytest.mark.requirement("RS-78")
@pytest.mark.parametrize("state", ["", "x", "carried-state"])
async def test_a_state_of_any_kind_never_runs_the_code(state: str) -> None:
    behind = waiting()
    await call(behind, {}, requestState=state)
    assert behind.programs == []
    assert behind.answers == [(state, "1", "closed")]


async def test_a_client_is_not_asked_a_second_time_for_the_same_request() -> None:
    behind = waiting()
    assert (await call(behind, ELICITATION["url"], requestState="x"))["resultType"] == "complete"


@pytest.mark.parametrize("era", ERAS)
async def test_in_either_era_a_program_goes_on_by_its_id(era: str) -> None:
    behind = Behind()
    async with agent(behind, era) as client:
        assert said(await client.call_tool("execute", {"resume": "abc"})) == ("ran resume abc", False)
    assert (behind.resumed, behind.programs, behind.principals) == (["abc"], [], [ALICE])


async def test_an_older_client_gets_the_text() -> None:
    async with agent(waiting(), "legacy") as client:
        assert said(await client.call_tool("execute", {"code": "1"})) == ("paused · 0 calls", False)


def test_what_is_no_answer_to_us_says_nothing() -> None:
    answers: list[t.InputResponses | None] = [None, {}, {"other": t.ElicitResult(action="decline")}]
    assert [answer_in(answer) for answer in answers] == ["closed"] * 3
    assert asking(notice(client=False), None) is None
