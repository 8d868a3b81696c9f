"""The catalogue follows its upstreams, and keeps what it knew of those that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from portal.catalogue.gather import CatalogueConflict
from portal.catalogue.live import LiveCatalogue
from portal.sections import Upstream
from portal.upstream.registry import Upstreams
from tests.catalogue.changing import server as changing
from tests.catalogue.making import read_only

CONFIGURED = {
    "changing": Upstream(module="tests.catalogue.changing", summary="Changes."),
    "template": Upstream(module="servers._template"),
}


@pytest.fixture(autouse=True)
def listing() -> Iterator[None]:
    changing.LISTING[:] = [read_only("get_one", "One.")]
    yield
    changing.LISTING.clear()


@asynccontextmanager
async def running() -> AsyncIterator[LiveCatalogue]:
    async with Upstreams(CONFIGURED).running() as upstreams, LiveCatalogue(upstreams, ttl_s=3_600).running() as live:
        yield live


def tools(live: LiveCatalogue, server: str) -> list[str]:
    return [tool.python_name for tool in live.current.tools if tool.server == server]


def states(live: LiveCatalogue) -> dict[str, str]:
    return {state.name: state.state for state in live.current.states}


async def test_at_start_every_upstream_is_gathered() -> None:
    async with running() as live:
        assert tools(live, "changing") == ["get_one"]
        assert tools(live, "template") == ["add_note", "get_note", "list_notes"]
        assert states(live) == {"changing": "ready", "template": "ready"}


async def test_a_refresh_publishes_a_new_catalogue_and_leaves_the_old_one_whole() -> None:
    async with running() as live:
        before = live.current
        changing.LISTING.append(read_only("get_two", "Two."))
        await live.refresh({"changing"})
        assert tools(live, "changing") == ["get_one", "get_two"]
        assert before.find("changing", "get_two") is None
        assert live.current.search(["two"])[0].name == "get_two"


async def test_a_refresh_that_finds_nothing_new_keeps_the_catalogue_and_its_modules() -> None:
    async with running() as live:
        before = live.current
        await live.refresh({"changing", "template"})
        assert live.current is before


async def test_an_upstream_that_fails_keeps_its_last_good_tools_and_is_stale() -> None:
    async with running() as live:
        changing.LISTING.clear()
        await live.refresh({"changing"})
        assert tools(live, "changing") == ["get_one"]
        assert states(live) == {"changing": "stale", "template": "ready"}


async def test_an_upstream_that_never_answered_is_down_and_comes_up() -> None:
    changing.LISTING.clear()
    async with running() as live:
        assert states(live) == {"changing": "down", "template": "ready"}
        changing.LISTING.append(read_only("get_one", "One."))
        await live.refresh({"changing"})
        assert states(live)["changing"] == "ready"


async def test_a_conflict_at_start_stops_the_start() -> None:
    changing.LISTING.append(read_only("get-one", "The same name."))
    with pytest.raises(CatalogueConflict, match="get-one"):
        async with running():
            pass


async def test_a_conflict_after_start_leaves_the_last_good_tools_in_force() -> None:
    async with running() as live:
        changing.LISTING.append(read_only("get-one", "The same name."))
        await live.refresh({"changing", "template"})
        assert tools(live, "changing") == ["get_one"]
        assert states(live) == {"changing": "stale", "template": "ready"}


async def test_one_bad_tool_does_not_cost_the_others() -> None:
    changing.LISTING.append(read_only("bad name", "Bad."))
    async with running() as live:
        assert tools(live, "changing") == ["get_one"]
