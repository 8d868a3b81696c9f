"""What ``search`` answers: the best tools as stubs, more of them by name, and which servers do not answer.

Deterministic, within a token budget, and every word of an upstream stands inside a docstring, a comment or a literal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.catalogue import clean
from portal.catalogue.records import Tool
from portal.catalogue.reply_map import import_line, name_line, server_map, state_lines
from portal.catalogue.reply_stub import full_definition, short_stub, shortened
from portal.catalogue.similar import closest
from portal.catalogue.snapshot import Catalogue
from portal.catalogue.stubs import Stubs
from portal.catalogue.visibility import Allowed

CHARS_PER_TOKEN = 3.6
BUDGET_TOKENS = 1_200
"""The most that a reply to queries costs, a query by full name aside."""
STUB_SHARE = 0.75
MAX_NAMES = 25
MAX_DEFINITIONS = 5
MAX_STUBS = 10
STUBS_PER_QUERY = 5
NAMES_PER_QUERY = 8
TOKENS = 300
TOKENS_PER_QUERY = 300
MAX_BEST_TYPES_CHARS = 900
"""So long may the types of a query's best tool be to be shown all, and not one level deep."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much a reply may hold. It grows with the queries: one step of a task needs one tool, not ten."""

    stubs: int
    names: int
    tokens: int

    @classmethod
    def of(cls, queries: int, limit: int | None) -> Room:
        """Return the room for so many queries; all there is when the caller says how many stubs it wants."""
        if limit is not None:
            return cls(limit, MAX_NAMES, BUDGET_TOKENS)
        return cls(
            min(STUBS_PER_QUERY * queries, MAX_STUBS),
            min(NAMES_PER_QUERY * queries, MAX_NAMES),
            min(TOKENS + TOKENS_PER_QUERY * queries, BUDGET_TOKENS),
        )


def search_reply(
    catalogue: Catalogue,
    queries: Sequence[str],
    *,
    server: str | None,
    limit: int | None,
    allowed: Allowed,
) -> str:
    """Return the reply. ``limit`` bounds the stubs, by default by the number of queries; names follow while the
    budget lasts.

    A full tool name as query gets its whole definition, whatever it costs. No query gets the map.
    """
    asked = _asked(queries)
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
        room = Room.of(len(rest), limit)
        found = catalogue.search(rest, server=server, limit=room.stubs + room.names, allowed=allowed)
        found = [tool for tool in found if tool not in exact]
        if not found and not exact:
            return _nothing(catalogue, rest, server, allowed)
        if found:
            parts.append(_ranked(catalogue, found, len(rest), room, allowed))
    states = state_lines(catalogue, server, allowed)
    return "\n\n".join([*parts, *(["\n".join(states)] if states else [])])


def prepare(catalogue: Catalogue, queries: Sequence[str]) -> None:
    """Do what a reply to these queries needs and takes long. Where ``catalogue.is_slow``, to be done in a thread."""
    catalogue.understand(query for query in _asked(queries) if catalogue.exact(query) is None)


def _asked(queries: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(text for query in queries if (text := clean.line(query, 300))))


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


def _ranked(catalogue: Catalogue, found: Sequence[Tool], queries: int, room: Room, allowed: Allowed) -> str:
    """Return stubs grouped by server in rank order, then names. The first of ``found`` are each query's best."""
    budget = int(room.tokens * CHARS_PER_TOKEN)
    blocks = _Blocks(catalogue, allowed, int(budget * STUB_SHARE))
    names = [
        tool
        for number, tool in enumerate(found)
        if number >= room.stubs or not blocks.add(tool, is_best=number < queries)
    ]
    text = blocks.text()
    lines: list[str] = []
    left = budget - len(text)
    for tool in names[: room.names]:
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
        self._hints: dict[str, set[str]] = {}
        self.shortened = False

    def add(self, tool: Tool, *, is_best: bool) -> bool:
        """Add a tool, without its types if they do not fit. False when not even its signature fits."""
        stubs = self._catalogue.stubs(tool.server, self._allowed)
        shown = self._types.setdefault(tool.server, set())
        said = self._hints.setdefault(tool.server, set())
        stub, hints = short_stub(stubs, tool, said)
        if len(stub) > self._left:
            return False
        types = self._fitting(stubs, tool, self._left - len(stub), is_best=is_best)
        self._lines.setdefault(tool.server, [import_line(self._catalogue, tool.server)]).extend([*types.values(), stub])
        self._left -= sum(map(len, types.values())) + len(stub)
        shown.update(types)
        said.update(hints)
        self.shortened = self.shortened or shortened(stubs, tool, shown)
        return True

    def _fitting(self, stubs: Stubs, tool: Tool, left: int, *, is_best: bool) -> dict[str, str]:
        """Return the texts of the types to show: all that a query's best tool leads to, or the near ones, or none."""
        found: dict[str, str] | None = None
        if is_best:
            found = self._within(stubs, tool, stubs.all_types(tool.python_name), min(left, MAX_BEST_TYPES_CHARS))
        if found is None:
            found = self._within(stubs, tool, stubs.nearby(tool.python_name), left)
        return found or {}

    def _within(self, stubs: Stubs, tool: Tool, names: Sequence[str], most: int) -> dict[str, str] | None:
        """Return the texts of those types that are not shown yet; None as soon as they are longer than ``most``."""
        texts: dict[str, str] = {}
        for name in names:
            if name not in self._types[tool.server]:
                texts[name] = stubs.type_text(name, complete=False)
                most -= len(texts[name])
                if most < 0:
                    return None
        return texts

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
