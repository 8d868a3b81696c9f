"""What every server of the monorepo keeps, whoever wrote it."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.catalogue.gather import gather
from portal.catalogue.records import ServerState
from portal.catalogue.snapshot import Catalogue
from servers._kit.testing import faults_of
from servers._kit.tool import ToolSpec, discover

ROOT = Path(__file__).resolve().parents[2]
SERVERS = sorted(p.parent.name for p in (ROOT / "servers").glob("*/server.py") if p.parent.name != "_kit")


def tools(server: str) -> list[ToolSpec]:
    return discover(f"servers.{server}.tools")


def test_there_are_servers() -> None:
    assert {"catalog", "prometheus", "_template"} <= set(SERVERS)


@pytest.mark.parametrize("server", SERVERS)
def test_every_tool_definition_keeps_the_contract(server: str) -> None:
    assert {spec.name: faults for spec in tools(server) if (faults := faults_of(spec.definition))} == {}


@pytest.mark.parametrize("server", SERVERS)
def test_the_readme_lists_every_tool_with_its_effect_and_every_scope(server: str) -> None:
    text = (ROOT / "servers" / server / "README.md").read_text(encoding="utf-8")
    missing = [spec.name for spec in tools(server) if not re.search(rf"`{spec.name}`\s*\|\s*{spec.effect}\b", text)]
    assert missing == []
    assert [scope for scope in {spec.scope for spec in tools(server)} if f"`{scope}`" not in text] == []


@pytest.mark.parametrize("server", SERVERS)
def test_every_tool_is_called_by_a_test(server: str) -> None:
    tests = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "servers" / server / "tests").glob("*.py"))
    assert [spec.name for spec in tools(server) if f'"{spec.name}"' not in tests] == []


@pytest.mark.parametrize("server", SERVERS)
def test_the_intents_name_every_tool_and_only_tools(server: str) -> None:
    intents: list[dict[str, Any]] = yaml.safe_load(
        (ROOT / "servers" / server / "intents.yaml").read_text(encoding="utf-8")
    )
    for intent in intents:
        assert intent.keys() <= {"queries", "tools", "unseen"}, intent
        assert intent["queries"], intent
        assert all(isinstance(query, str) and query for query in intent["queries"]), intent
        assert 1 <= len(set(intent["tools"])) == len(intent["tools"]) <= 4, intent
    assert {tool for intent in intents for tool in intent["tools"]} == {spec.name for spec in tools(server)}


def test_search_over_all_servers_finds_what_the_intents_need() -> None:
    listed = [tool for server in SERVERS for tool in gather(server, [spec.definition for spec in tools(server)])[0]]
    catalogue = Catalogue(listed, [ServerState(server) for server in SERVERS])
    shares = []
    for server in SERVERS:
        intents = yaml.safe_load((ROOT / "servers" / server / "intents.yaml").read_text(encoding="utf-8"))
        for intent in (intent for intent in intents if not intent.get("unseen")):
            found = {tool.qualified for query in intent["queries"] for tool in catalogue.search([query], limit=5)}
            needed = {f"{server}.{tool}" for tool in intent["tools"]}
            shares.append(len(needed & found) / len(needed))
    assert sum(shares) / len(shares) >= 0.95


@pytest.mark.parametrize("server", SERVERS)
def test_the_scope_names_the_server_and_fits_the_effect(server: str) -> None:
    prefix = server.lstrip("_")
    for spec in tools(server):
        assert spec.scope.startswith(f"{prefix}:"), spec.name
        assert (spec.effect == "read") == spec.scope.endswith(":read"), spec.name


@pytest.mark.parametrize("server", SERVERS)
def test_the_catalog_entity_is_an_mcp_server_of_this_system(server: str) -> None:
    entity: dict[str, Any] = yaml.safe_load(
        (ROOT / "servers" / server / "catalog-info.yaml").read_text(encoding="utf-8")
    )
    assert entity["spec"]["type"] == "mcp-server"
    assert entity["spec"]["system"] == "mcp-portal"


@pytest.mark.parametrize("server", SERVERS)
def test_a_misspelt_setting_is_refused(server: str) -> None:
    module = importlib.import_module(f"servers.{server}.server")
    with pytest.raises(ValueError, match="timeout_z"):
        module.create({"timeout_z": 1})


def test_every_server_of_the_default_configuration_is_there() -> None:
    config = tomllib.loads((ROOT / "portal.toml").read_text(encoding="utf-8"))
    assert {u["module"].removeprefix("servers.") for u in config["upstreams"].values()} <= set(SERVERS)
