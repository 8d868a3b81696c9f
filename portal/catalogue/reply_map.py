"""Where an agent that does not know what to search for begins: the servers, and one server's tools by name."""

from __future__ import annotations

from portal.catalogue import clean
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.snapshot import Catalogue
from portal.catalogue.visibility import Allowed

MAX_NAME_LINE_CHARS = 100
MAX_SUMMARY_CHARS = 160
MAX_DETAIL_CHARS = 160
MAX_LISTED_CHARS = 6_000
MAX_STATES = 5

_STATES = {
    "stale": "is not answering now; its tools are shown as last seen, and calls may fail",
    "down": "is down; its tools are not known and cannot be called now",
}


def server_map(catalogue: Catalogue, server: str | None, allowed: Allowed) -> str:
    """Return the servers with their summaries, tool counts and states; with ``server``, that one's tools."""
    if server is not None:
        return _one_server(catalogue, server, allowed)
    names = catalogue.servers(allowed)
    if not names:
        return "No server is available to you."
    lines = ["Servers; a program imports each by name:"]
    room = MAX_LISTED_CHARS // len(names)
    lines += [_server_line(catalogue, name, allowed, room) for name in names]
    lines.append("Search with short queries, one per step of the task; with only `server`, that server's tool names.")
    return "\n".join(lines)


def state_lines(catalogue: Catalogue, server: str | None, allowed: Allowed) -> list[str]:
    """Return one line for each server that is not ready, so that a missing tool is not taken for no tool."""
    shown = {server} if server is not None else set(catalogue.servers(allowed))
    states = [state for state in catalogue.states if state.name in shown and state.state != "ready"]
    lines = [_state_line(state) for state in states[:MAX_STATES]]
    if len(states) > MAX_STATES:
        lines.append(f"{len(states) - MAX_STATES} more servers do not answer; a search without queries lists them.")
    return lines


def import_line(catalogue: Catalogue, server: str) -> str:
    """Return the import of a server, with what it is for."""
    state = catalogue.state(server)
    summary = clean.line(state.summary, MAX_SUMMARY_CHARS) if state is not None else ""
    return f"import {server}  # {summary}" if summary else f"import {server}"


def name_line(tool: Tool) -> str:
    """Return one tool in one line: full name, effect if it is not a read, the beginning of its description."""
    mark = "" if tool.effect == "read" else f" [{tool.effect}]"
    said = clean.first_sentence(tool.description, MAX_NAME_LINE_CHARS) or tool.title
    return f"{tool.qualified}{mark}: {said}" if said else f"{tool.qualified}{mark}"


def _one_server(catalogue: Catalogue, server: str, allowed: Allowed) -> str:
    tools = catalogue.visible(server, allowed)
    head = [_server_line(catalogue, server, allowed, MAX_LISTED_CHARS)]
    lines, size = [], 0
    for number, tool in enumerate(tools):
        text = name_line(tool) if size < MAX_LISTED_CHARS // 2 else tool.qualified
        size += len(text)
        if size > MAX_LISTED_CHARS:
            lines.append(f"… and {len(tools) - number} more; search with a query to find them")
            break
        lines.append(text)
    return "\n".join([*head, *lines])


def _server_line(catalogue: Catalogue, name: str, allowed: Allowed, max_chars: int) -> str:
    state = catalogue.state(name)
    count = len(catalogue.visible(name, allowed))
    notes = [] if count == 0 else [f"{count} tool{'' if count == 1 else 's'}"]
    summary = ""
    if state is not None:
        summary = clean.line(state.summary, MAX_SUMMARY_CHARS)
        detail = clean.line(state.detail, max(20, min(MAX_DETAIL_CHARS, max_chars // 2)))
        notes += [] if state.state == "ready" else [f"{state.state}: {detail}" if detail else state.state]
    head = f"{name} ({', '.join(notes) or 'no tools'})"
    return clean.shorten(f"{head}: {summary}", max(max_chars, len(head))) if summary else head


def _state_line(state: ServerState) -> str:
    detail = clean.line(state.detail, MAX_DETAIL_CHARS)
    return f"Server {state.name} {_STATES[state.state]}" + (f" ({detail})." if detail else ".")
