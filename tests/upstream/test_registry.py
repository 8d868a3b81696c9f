"""Every upstream behind one registry: what is refused before the start, and what one of them cannot do to another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp.server.subscriptions import ToolsListChanged

from portal.sections import Upstream
from portal.settings import ConfigurationError
from portal.upstream.failures import UpstreamFailure
from portal.upstream.registry import Upstreams
from tests.upstream.made.server import MADE
from tests.upstream.serving import ALICE, over_http, server, telling

ODD = "tests.upstream.odd_module"


def refused(name: str = "odd", **upstream: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Upstreams({name: Upstream(**upstream)})
    return str(caught.value)


@pytest.mark.parametrize("name", ["import", "_kit", "a-b", "1st", "a.b", "", "None", "async"])
def test_a_name_that_programs_cannot_import_is_refused(name: str) -> None:
    assert refused(name, url="http://127.0.0.1:1") == (
        f"upstreams.{name}: the name must be one that programs can import"
    )


def test_a_misspelt_setting_is_named_with_its_upstream() -> None:
    assert refused(module=ODD, settings={"tokn": "hunter2hunter2"}) == (
        "upstreams.odd.settings: tokn: Extra inputs are not permitted"
    )


def test_a_wrong_setting_is_named_and_never_shown() -> None:
    said = refused(module=ODD, settings={"token": 12345678, "limit": "hunter2"})
    assert said.startswith("upstreams.odd.settings: token: Input should be a valid string; limit: ")
    assert "12345678" not in said
    assert "hunter2" not in said
    assert "\n" not in said


def test_what_a_server_says_against_its_settings_is_one_line() -> None:
    assert refused(module=ODD, settings={"file": "x.yaml"}) == (
        "upstreams.odd.settings: [Errno 2] No such file or directory: 'x.yaml'"
    )
    assert refused(module=ODD, settings={"plain": 1}) == "upstreams.odd.settings: ValueError"


def test_a_module_that_is_not_there_or_no_server_is_named() -> None:
    assert refused(module="servers.nowhere") == (
        "upstreams.odd: cannot import servers.nowhere.server (servers.nowhere)"
    )
    assert refused(module="tests.upstream.missing_import") == (
        "upstreams.odd: cannot import tests.upstream.missing_import.server (a_library_that_is_not_installed)"
    )
    assert refused(module="tests.upstream.no_create").startswith(
        "upstreams.odd: tests.upstream.no_create.server is not a server ("
    )


async def test_one_that_is_down_does_not_keep_the_others_from_work() -> None:
    MADE["beside"] = server()
    try:
        configured = {
            "beside": Upstream(module="tests.upstream.made", settings={"name": "beside"}, summary="Works."),
            "broken": Upstream(url="http://127.0.0.1:1/mcp"),
        }
        upstreams = Upstreams(configured)
        assert upstreams.names() == ["beside", "broken"]
        assert upstreams.state("beside") == ("connecting", "")
        assert upstreams.summary("beside") == "Works."
        async with upstreams.running():
            assert upstreams.state("beside") == ("ready", "")
            assert upstreams.state("broken") == ("down", "cannot be reached")
            assert upstreams.changed.is_set()
            assert upstreams.take_stale() == {"beside", "broken"}
            assert await upstreams.call("beside", "get_one", {}, ALICE, 5) == 1
            assert [tool.name for tool in await upstreams.tools("beside")] == ["get_one"]
            with pytest.raises(UpstreamFailure, match="the server is down"):
                await upstreams.call("broken", "get_one", {}, ALICE, 5)
            with pytest.raises(UpstreamFailure, match="no such server"):
                await upstreams.call("nobody", "get_one", {}, ALICE, 5)
    finally:
        del MADE["beside"]


async def test_what_may_have_changed_is_taken_once() -> None:
    made, bus, _ = telling()
    async with over_http(made) as (remote, _), Upstreams({"far": Upstream(url=remote.url)}).running() as upstreams:
        assert upstreams.take_stale() == {"far"}
        assert upstreams.take_stale() == set()
        assert not upstreams.changed.is_set()
        async with asyncio.timeout(10):
            while not upstreams.changed.is_set():
                await bus.publish(ToolsListChanged())
                await asyncio.sleep(0.005)
        assert upstreams.take_stale() == {"far"}
