"""docs/clients.md tells people the same as the portal does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from portal.snippets import Snippet, snippets
from tests.clients.agents import agents
from tests.clients.install import HERE, Installed
from tests.running import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
ENDPOINT = "http://127.0.0.1:8300/mcp"
NOWHERE = Installed(node=Path("/nowhere/node"), modules=Path("/nowhere"), fastmcp=Path("/nowhere/fastmcp"))


@pytest.mark.parametrize("snippet", snippets(ENDPOINT), ids=lambda snippet: snippet.agent)
def test_the_page_has_what_the_portal_prints(snippet: Snippet) -> None:
    assert f"\n{snippet.text}\n" in PAGE


def test_the_recorded_versions_are_the_ones_that_are_locked() -> None:
    locked = dict(re.findall(r"(?m)^([a-z-]+)==(\S+)", (HERE / "fastmcp.lock").read_text(encoding="utf-8")))
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    packages = {
        "Claude Code": wanted["@anthropic-ai/claude-code"],
        "opencode": wanted["opencode-ai"],
        "MCP Inspector CLI": wanted["@modelcontextprotocol/inspector"],
        "fastmcp CLI": locked["fastmcp"],
        "codex": wanted["@openai/codex"],
        "mcp-remote": wanted["mcp-remote"],
        "MCP TypeScript SDK": wanted["@modelcontextprotocol/client"],
        "FastMCP client": locked["fastmcp"],
    }
    rows = dict(re.findall(r"(?m)^\| (\S[^|]*?) +\| (\d+\.\d+\.\d+) +\| \d{4}-", PAGE))
    assert {name: rows[name] for name in packages} == packages
    assert list(rows) == [agent.name for agent in agents(NOWHERE)]


def test_the_npm_lock_names_no_registry_and_has_a_hash_for_every_package() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages.pop("")["dependencies"]
    assert all(
        "resolved" not in package and package["integrity"].startswith("sha512-") for package in packages.values()
    )
