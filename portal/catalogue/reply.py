"""What ``search`` answers: the best tools as stubs, more of them by name, and which servers do not answer.

Deterministic, within a token budget, and every word of an upstream stands inside a docstring, a comment or a literal.
"""

from __future__ import annotations

from collections.abc import Sequence

from portal.catalogue import clean
from portal.catalogue.records import Tool
from portal.catalogue.reply_map import import_line, name_line, server_map, state_lines
from portal.catalogue.reply_stub import full_definition, short_stub, shortened
from portal.catalogue.similar import closest
from portal.catalogue.snapshot import Catalogue
from portal.catalogue.visibility import Allowed

CHARS_PER_TOKEN = 3.6
BUDGET_TOKENS = 1_200
STUB_SHARE = 0.75
MAX_NAMES = 25
MAX_DEFINITIONS = 5


def search_reply(
    catalogue: Catalogue,
    queries: Sequence[str],
    *,
    server: str | None,
    limit: int,
    allowed: Allowed,
    budget_tokens: int = BUDGET_TOKENS,
) -> str:
    """Return the reply. ``limit`` bounds the stubs; names follow while the budget lasts.

    A full tool name as query gets its whole definition, whatever it costs. No query gets the map.
    """
    asked = list(dict.fromkeys(text for query in queries if (text := clean.line(query, 300))))
    if server is not None and server not in catalogue.servers(allowed):
        return _no_server(catalogue, server, allowed)
    if not asked:
        return server_map(catalogue, server, allowed)
    exact, rest = _named(catalogue, asked, server, allowed)
    parts = [
        f"{import_line(catalogue, tool.server)}\n{full_definition(catalogue.stubs(tool.server, allowed), tool)}"
        for tool in exact
    ]
    if rest:
        found = catalogue.search(rest, server=server, limit=limit + MAX_NAMES, allowed=allowed)
        found = [tool for tool in found if tool not in exact]
        if not found and not exact:
            return _nothing(catalogue, rest, server, allowed)
        if found:
            parts.append(_ranked(catalogue, found, limit, allowed, budget_tokens))
    states = state_lines(catalogue, server, allowed)
    return "\n\n".join([*parts, *(["\n".join(states)] if states else [])])


def _named(
    catalogue: Catalogue, asked: Sequence[str], server: str | None, allowed: Allowed
) -> tuple[list[Tool], list[str]]:
    """Return (tools asked for by their full name, the other queries)."""
    exact: dict[str, Tool] = {}
    rest: list[str] = []
    for query in asked:
        tool = catalogue.exact(query) or (catalogue.exact(f"{server}.{query}") if server is not None else None)
        if tool is not None and server in {None, tool.server} and len(exact) < MAX_DEFINITIONS and allowed(tool):
            exact[tool.qualified] = tool
        else:
            rest.append(query)
    return list(exact.values()), rest


def _ranked(catalogue: Catalogue, found: Sequence[Tool], limit: int, allowed: Allowed, budget_tokens: int) -> str:
    """Return stubs grouped by server in rank order, then names."""
    budget = int(budget_tokens * CHARS_PER_TOKEN)
    blocks = _Blocks(catalogue, allowed, int(budget * STUB_SHARE))
    names = [tool for number, tool in enumerate(found) if number >= limit or not blocks.add(tool)]
    text = blocks.text()
    lines: list[str] = []
    left = budget - len(text)
    for tool in names[:MAX_NAMES]:
        line = name_line(tool)
        left -= len(line) + 1
        if left < 0:
            break
        lines.append(line)
    parts = [text] if text else []
    if lines:
        parts.append("\n".join(["More tools by name:", *lines]))
    if blocks.shortened or lines:
        example = (names[0] if lines else found[0]).qualified
        parts.append(f"A full name such as `{example}` as query gets its whole definition.")
    return "\n\n".join(parts)


class _Blocks:
    """Collects stubs by server until the budget is spent; each type is shown once per server, before its first user."""

    def __init__(self, catalogue: Catalogue, allowed: Allowed, budget_chars: int) -> None:
        self._catalogue = catalogue
        self._allowed = allowed
        self._left = budget_chars
        self._lines: dict[str, list[str]] = {}
        self._types: dict[str, set[str]] = {}
        self.shortened = False

    def add(self, tool: Tool) -> bool:
        """Add a tool, without its types if they do not fit. False when not even its signature fits."""
        stubs = self._catalogue.stubs(tool.server, self._allowed)
        shown = self._types.setdefault(tool.server, set())
        types = [name for name in stubs.nearby(tool.python_name) if name not in shown]
        texts = [stubs.type_text(name, complete=False) for name in types]
        stub = short_stub(stubs, tool)
        if sum(map(len, texts)) + len(stub) > self._left:
            types, texts = [], []
        if len(stub) > self._left:
            return False
        self._lines.setdefault(tool.server, [import_line(self._catalogue, tool.server)]).extend([*texts, stub])
        self._left -= sum(map(len, texts)) + len(stub)
        shown.update(types)
        self.shortened = self.shortened or shortened(stubs, tool, shown)
        return True

    def text(self) -> str:
        return "\n\n".join("\n".join(lines) for lines in self._lines.values())


def _no_server(catalogue: Catalogue, server: str, allowed: Allowed) -> str:
    near = closest(server, catalogue.servers(allowed))
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return (
        f"No server is called {clean.literal(clean.line(server, 60))}.{hint}\n\n{server_map(catalogue, None, allowed)}"
    )


def _nothing(catalogue: Catalogue, asked: Sequence[str], server: str | None, allowed: Allowed) -> str:
    names = [name for query in asked for name in catalogue.similar(query, server=server, allowed=allowed)]
    near = f" Did you mean {', '.join(list(dict.fromkeys(names))[:3])}?" if names else ""
    return f"No tool matches.{near} Try other words for the same step.\n\n{server_map(catalogue, server, allowed)}"
