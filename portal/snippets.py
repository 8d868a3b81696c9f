"""How an agent is told of this portal: paste-ready configuration, one source for the terminal and the page."""

from __future__ import annotations

import json
from dataclasses import dataclass

NAME = "portal"


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to paste for one agent."""

    agent: str
    text: str


def snippets(endpoint: str) -> list[Snippet]:
    """Return one snippet per agent; docs/clients.md tells how each was tried."""
    config = {"mcpServers": {NAME: {"type": "http", "url": endpoint}}}
    # For the user and not for the folder of the moment, in which alone Claude Code would know it.
    claude = f"claude mcp add --scope user --transport http {NAME} {endpoint}"
    return [
        Snippet("Claude Code", f"{claude} && claude mcp login {NAME}"),
        Snippet("opencode", f"opencode mcp add {NAME} --url {endpoint} && opencode mcp auth {NAME}"),
        Snippet("codex", f"codex mcp add {NAME} --url {endpoint}"),
        Snippet("mcpServers JSON", json.dumps(config)),
    ]
