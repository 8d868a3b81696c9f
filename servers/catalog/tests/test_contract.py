"""The contract that every tool of the server keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servers._kit.testing import faults_of
from servers.catalog.settings import CatalogSettings

README = Path(__file__).resolve().parents[1] / "README.md"

TOOLS = {
    "find_entity_by_annotation": "read",
    "find_path": "read",
    "find_person": "read",
    "get_api_definition": "read",
    "get_entities": "read",
    "get_entity": "read",
    "get_entity_origin": "read",
    "get_group": "read",
    "get_impact": "read",
    "get_owner": "read",
    "get_scores": "read",
    "get_system": "read",
    "get_tool_links": "read",
    "list_api_consumers": "read",
    "list_apis": "read",
    "list_checks": "read",
    "list_dependencies": "read",
    "list_dependents": "read",
    "list_domains": "read",
    "list_facets": "read",
    "list_failing_checks": "read",
    "list_owned_entities": "read",
    "query_entities": "read",
    "refresh_entity": "write",
    "register_location": "write",
    "search_entities": "read",
    "unregister_location": "destructive",
    "validate_entity": "read",
    "walk_relations": "read",
}


async def test_every_tool_keeps_the_contract_of_all_servers(demo: Any) -> None:
    async with demo() as catalog:
        assert {tool.name: faults_of(tool) for tool in await catalog.tools()} == {name: [] for name in TOOLS}


async def test_effects_and_scopes_are_those_of_the_readme(demo: Any) -> None:
    scopes = {"read": "catalog:read", "write": "catalog:write", "destructive": "catalog:admin"}
    async with demo() as catalog:
        found = {
            tool.name: ((tool.meta or {})["mcp-portal/effect"], (tool.meta or {})["mcp-portal/scope"])
            for tool in await catalog.tools()
        }
    assert found == {name: (effect, scopes[effect]) for name, effect in TOOLS.items()}


async def test_descriptions_are_short_and_every_input_is_closed(demo: Any) -> None:
    async with demo() as catalog:
        for tool in await catalog.tools():
            assert len(tool.description or "") <= 300, tool.name
            assert tool.input_schema["additionalProperties"] is False, tool.name


async def test_every_object_of_an_answer_names_all_its_fields_as_required(demo: Any) -> None:
    async with demo() as catalog:
        for tool in await catalog.tools():
            schema = tool.output_schema or {}
            for part in [schema, *schema.get("$defs", {}).values()]:
                # A page's own fields have defaults; they belong to the kit.
                if part.get("title", "").startswith("Page["):
                    continue
                assert set(part.get("required", [])) == set(part.get("properties", {})), (tool.name, part.get("title"))


def test_the_readme_lists_every_tool_with_its_effect() -> None:
    readme = README.read_text(encoding="utf-8")
    cells = [line.split("|") for line in readme.splitlines() if line.startswith("| `")]
    rows = {c[1].strip(" `"): c[2].strip() for c in cells if c[2].strip() in {"read", "write", "destructive"}}
    assert rows == TOOLS


def test_the_readme_lists_every_setting() -> None:
    readme = README.read_text(encoding="utf-8")
    for name in CatalogSettings.model_fields:
        assert f"| `{name}` |" in readme, name
