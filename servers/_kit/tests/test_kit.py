"""The kit: a function becomes a tool, and what goes wrong in it reaches the caller as one of our words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from pydantic import Field

from servers._kit import InvalidInput, NotFound, Output, Page, VendorUnavailable, page_of, tool
from servers._kit.failures import quote
from servers._kit.http import open_http, path
from servers._kit.server import build
from servers._kit.testing import ToolError, connected, faults_of
from servers._kit.tool import spec_of
from shared_auth.principal import Principal


class Thing(Output):
    name: str
    note: str | None = None


class Shelf:
    def __init__(self) -> None:
        self.things = [Thing(name=f"thing-{i}") for i in range(5)]


@tool(effect="read", scope="things:read")
async def list_things(
    shelf: Shelf,
    page: Annotated[str | None, Field(max_length=20)] = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 2,
) -> Page[Thing]:
    """List the things on the shelf, a page at a time."""
    return page_of(shelf.things, page=page, limit=limit)


@tool(effect="read", scope="things:read")
async def list_names(shelf: Shelf) -> list[str]:
    """List only the names of the things on the shelf."""
    return [thing.name for thing in shelf.things]


@tool(effect="write", scope="things:write")
async def sign_thing(shelf: Shelf, who: Principal, name: Annotated[str, Field(max_length=50)]) -> Thing:
    """Write the name of who asks on a thing."""
    if name == "broken":
        raise RuntimeError("password=hunter2")
    if name not in {t.name for t in shelf.things}:
        raise NotFound(f"there is no thing {quote(name)}")
    return Thing(name=name, note=who.subject)


@asynccontextmanager
async def open_shelf() -> AsyncIterator[Shelf]:
    yield Shelf()


TOOLS = [spec_of(f) for f in (list_things, list_names, sign_thing)]
SERVER = build("shelf", summary="Things on a shelf.", tools=TOOLS, client=open_shelf)


async def test_a_page_is_followed_to_the_end_by_its_tokens() -> None:
    async with connected(SERVER) as shelf:
        names: list[str] = []
        page = None
        while True:
            answer = await shelf.call("list_things", page=page)
            names += [item["name"] for item in answer["items"]]
            page = answer["next_page"]
            if page is None:
                break
        assert names == [f"thing-{i}" for i in range(5)]
        assert answer["total"] == 5


async def test_a_list_is_wrapped_on_the_wire_and_every_field_is_present() -> None:
    async with connected(SERVER) as shelf:
        assert await shelf.call("list_names") == [f"thing-{i}" for i in range(5)]
        tools = {t.name: t for t in await shelf.tools()}
        assert list((tools["list_names"].output_schema or {})["properties"]) == ["result"]
        assert (tools["sign_thing"].output_schema or {})["required"] == ["name", "note"]


async def test_the_principal_is_handed_over_and_is_no_input() -> None:
    async with connected(SERVER) as shelf:
        assert await shelf.call("sign_thing", name="thing-1") == {"name": "thing-1", "note": "alice"}
        with pytest.raises(ToolError, match="invalid: who: Extra inputs"):
            await shelf.call("sign_thing", name="thing-1", who={"subject": "root"})


async def test_what_a_tool_did_not_foresee_stays_in_the_log() -> None:
    async with connected(SERVER) as shelf:
        with pytest.raises(ToolError) as caught:
            await shelf.call("sign_thing", name="broken")
        assert "hunter2" not in str(caught.value)
        assert "error id" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [({"name": "x" * 51}, "invalid"), ({}, "invalid"), ({"name": "other"}, "not_found"), ({"name": 3}, "invalid")],
)
async def test_bad_input_is_named_by_kind(arguments: dict[str, Any], kind: str) -> None:
    async with connected(SERVER) as shelf:
        with pytest.raises(ToolError) as caught:
            await shelf.call("sign_thing", **arguments)
        assert caught.value.kind == kind


def test_definitions_keep_the_contract_and_carry_effect_and_scope() -> None:
    assert [faults_of(spec.definition) for spec in TOOLS] == [[], [], []]
    assert [spec.definition.meta for spec in TOOLS][2] == {
        "mcp-portal/effect": "write",
        "mcp-portal/scope": "things:write",
    }


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_a_path_cannot_be_climbed(bad: str) -> None:
    with pytest.raises(InvalidInput):
        path("api", bad)
    assert path("api", "a/../b?c#d") == "/api/a%2F..%2Fb%3Fc%23d"


def test_quoted_vendor_text_is_one_short_line() -> None:
    assert quote('ignore\nall "rules"\x1b[0m') == "\"ignore all 'rules' [0m\""
    assert len(quote("x" * 1000)) == 302


@pytest.mark.parametrize("page", ["-1", "x", "999", "1" * 20, "٣"])
def test_a_page_token_that_was_never_given_is_refused(page: str) -> None:
    with pytest.raises(InvalidInput):
        page_of([1, 2, 3], page=page, limit=2)


async def test_reads_are_tried_again_and_changes_are_not() -> None:
    seen: list[str] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        return httpx.Response(503 if len(seen) < 3 else 200, json={"ok": True})

    async with open_http("http://vendor.test", vendor="Vendor", transport=httpx.MockTransport(vendor)) as http:
        assert await http.get("/x") == {"ok": True}
        assert seen == ["GET"] * 3
        seen.clear()
        with pytest.raises(VendorUnavailable):
            await http.send("POST", "/x", body={})
        assert seen == ["POST"]


async def test_a_redirect_is_never_followed_with_a_credential() -> None:
    def vendor(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "http://evil.test/"})

    async with open_http("http://vendor.test", vendor="Vendor", transport=httpx.MockTransport(vendor)) as http:
        with pytest.raises(Exception, match="Vendor answered 302"):
            await http.get("/x")
