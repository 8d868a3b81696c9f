"""Every tool of the template server, called as a program calls it."""

from __future__ import annotations

import pytest

from servers._kit.testing import ToolError, connected, faults_of
from servers._template.server import create


async def test_a_note_is_written_found_and_read() -> None:
    async with connected(create({})) as template:
        added = await template.call("add_note", title="Release day", text="Thursday.")
        assert added["author"] == "alice@acme.test"
        found = await template.call("list_notes", query="release")
        assert [n["title"] for n in found["items"]] == ["Release day"]
        assert (await template.call("get_note", note=added["id"])) == added


async def test_notes_are_paged_to_the_end() -> None:
    async with connected(create({})) as template:
        titles: list[str] = []
        page = None
        while True:
            answer = await template.call("list_notes", limit=2, page=page)
            titles += [n["title"] for n in answer["items"]]
            page = answer["next_page"]
            if page is None:
                break
        assert titles == ["How we deploy", "On-call handbook", "Who owns what"]


async def test_a_note_that_is_not_there_is_not_found() -> None:
    async with connected(create({})) as template:
        with pytest.raises(ToolError, match="not_found"):
            await template.call("get_note", note="../secrets")


async def test_every_tool_keeps_the_contract() -> None:
    async with connected(create({})) as template:
        assert {t.name: faults_of(t) for t in await template.tools()} == {
            "add_note": [],
            "get_note": [],
            "list_notes": [],
        }
