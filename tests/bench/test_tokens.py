"""The token bench counts what an agent would pay: its tasks fit the servers, and one program says the same every way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bench.recall import own
from bench.tokens.agents import unseen
from bench.tokens.conversation import Conversation
from bench.tokens.programs import for_code_mode, keys_of, locally, names_of, tools_of
from bench.tokens.tasks import TASKS, Task

CATALOGUE = own().catalogue()
TWO = """
import asyncio
import catalog
owners = await asyncio.gather(*[catalog.get_owner(ref=name) for name in ("a", "b")])
await catalog.query_entities(filters=[{"field": "kind"}])
[owner["name"] for owner in owners]
"""


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_asks_shortly_and_uses_tools_as_they_are(task: Task) -> None:
    assert 1 <= len(task.queries) <= 3
    assert all(len(query.split()) <= 10 for query in task.queries)
    known: set[str] = set()
    for name in tools_of(task.program):
        tool = CATALOGUE.exact(name)
        assert tool is not None, name
        known |= set(keys_of(tool.input_schema)) | set(keys_of(tool.output_schema))
        assert not any("_" in query for query in task.queries), "a query that knows a tool's name"
    assert names_of(task.program) <= known, names_of(task.program) - known


def test_there_are_tasks_that_write() -> None:
    tools = [CATALOGUE.exact(name) for task in TASKS for name in tools_of(task.program)]
    assert sum(tool is not None and tool.effect == "write" for tool in tools) >= 3
    assert len(TASKS) >= 15


def test_the_names_of_a_program_are_what_nobody_can_guess() -> None:
    assert set(tools_of(TWO)) == {"catalog.get_owner", "catalog.query_entities"}
    assert names_of(TWO) == {"ref", "filters", "field", "name"}


def test_what_was_only_written_was_not_shown() -> None:
    class Session:
        conversation = Conversation([("tools", "get_owner(ref) name"), ("written", "filters field")])

    session: Any = Session()
    assert unseen(TWO, session) == {"filters", "field"}


def test_code_mode_gets_the_same_program() -> None:
    assert for_code_mode(TWO) == (
        "import asyncio\n"
        "owners = await asyncio.gather(*[call_tool('catalog_get_owner', {'ref': name}) for name in ('a', 'b')])\n"
        "await call_tool('catalog_query_entities', {'filters': [{'field': 'kind'}]})\n"
        "return [owner['name'] for owner in owners]"
    )


async def test_a_program_runs_here_without_a_sandbox() -> None:
    class Catalog:
        def get_owner(self, ref: str) -> asyncio.Future[dict[str, str]]:
            future: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
            future.set_result({"name": f"owner of {ref}"})
            return future

        async def query_entities(self, filters: list[dict[str, str]]) -> None:
            assert filters == [{"field": "kind"}]

    assert await locally(TWO, {"catalog": Catalog()}) == ["owner of a", "owner of b"]


def test_a_conversation_is_paid_for_again_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.tokens import conversation as counted

    talk = Conversation()
    talk.add("tools", "1234567890")
    talk.add("asked", "12345")
    talk.request()
    talk.add("written", "123")
    talk.add("result", "1234567")
    talk.request()
    talk.add("written", "12")
    monkeypatch.setattr(counted, "tokens", lambda texts: [len(text) for text in texts])
    [cost] = counted.costs([talk])
    assert (cost.bare, cost.peak, cost.input, cost.requests) == (20, 27, 15 + 25, 2)
