"""What a principal may see, and nothing else, is in every view of the catalogue."""

from __future__ import annotations

import pytest

from portal.catalogue.records import ServerState, Tool
from portal.catalogue.snapshot import everything
from tests.catalogue.making import catalogue, listed, properties, read_only

SECRET = {"type": "object", "properties": {"launch_code": {"type": "string"}}, "title": "Plan"}
PLAIN = {"type": "object", "properties": {"day": {"type": "string"}}, "title": "Plan"}

FOUND = catalogue(
    [ServerState("gone", "Never answered.", "down")],
    office=[
        listed("a-launch", "Start it.", properties(plan=SECRET)),
        read_only("get-plan", "Read a plan.", output=PLAIN),
    ],
    vault=[listed("open_vault", "Open.")],
)


def reads(tool: Tool) -> bool:
    return tool.effect == "read"


def test_a_hidden_tool_leaves_no_trace_in_a_module() -> None:
    module = FOUND.module("office", reads)
    assert [function.name for function in module.functions] == ["get_plan"]
    assert "launch" not in module.stubs
    assert "class Plan(TypedDict): day" in module.stubs


def test_without_a_principal_a_module_has_every_tool() -> None:
    assert [function.name for function in FOUND.module("office").functions] == ["a_launch", "get_plan"]


def test_a_module_is_made_once_for_all_who_see_the_same() -> None:
    assert FOUND.module("office", reads) is FOUND.module("office", lambda tool: tool.name == "get-plan")
    assert FOUND.module("office", reads) is not FOUND.module("office", everything)


def test_an_unknown_server_is_a_lookup_error_and_one_without_visible_tools_is_an_empty_module() -> None:
    with pytest.raises(LookupError):
        FOUND.module("nowhere")
    assert FOUND.module("vault", reads).functions == ()


def test_servers_with_nothing_to_see_are_not_named() -> None:
    assert FOUND.servers() == ["office", "vault", "gone"]
    assert FOUND.servers(reads) == ["office", "gone"]


def test_a_tool_is_found_by_either_of_its_names() -> None:
    tool = FOUND.find("office", "get_plan")
    assert tool is not None
    assert FOUND.exact("office.get_plan") is tool
    assert FOUND.exact(" office.get-plan ") is tool
    assert FOUND.exact("get_plan") is None
    assert FOUND.find("office", "get-plan") is None
    assert FOUND.find("nowhere", "get_plan") is None


def test_a_name_is_suggested_only_among_visible_tools() -> None:
    assert FOUND.similar("office.get_plam") == ["office.get_plan"]
    assert FOUND.similar("vault.open_valut", allowed=reads) == []
