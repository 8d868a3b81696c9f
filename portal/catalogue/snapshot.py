"""The catalogue at one moment: every tool, found by name or by query, and the modules that programs import.

Immutable: a refresh makes a new one, and a request that began with the old one keeps it. What a principal may see is
an argument of each question, never state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from portal.catalogue.index import Entry, Index, entry
from portal.catalogue.ranking import turns
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.signature import Signature, signature
from portal.catalogue.similar import closest
from portal.catalogue.stubs import Stubs
from portal.sandbox.contract import Module

Allowed = Callable[[Tool], bool]

MAX_VIEWS = 256
"""How many (server, visible tools) views are kept: principals of one group share theirs."""


def everything(_tool: Tool) -> bool:
    """Allow every tool: for views that no principal stands behind."""
    return True


class Catalogue:
    """All tools and all server states. Building one costs time in proportion to the tools: do it in a thread.

    ``before`` is the catalogue that this one replaces; what did not change is taken from it.
    """

    def __init__(
        self, tools: Iterable[Tool], states: Iterable[ServerState], *, before: Catalogue | None = None
    ) -> None:
        self.states = tuple(states)
        self.tools = tuple(tools)
        self._states = {state.name: state for state in self.states}
        self._by_server: dict[str, dict[str, Tool]] = {name: {} for name in self._states}
        self._by_name: dict[str, Tool] = {}
        for tool in self.tools:
            self._by_server.setdefault(tool.server, {})[tool.python_name] = tool
            self._by_name[f"{tool.server}.{tool.name}"] = tool
        self._by_name.update({tool.qualified: tool for tool in self.tools})
        known = before.entries if before is not None else {}
        summaries = {name: state.summary for name, state in self._states.items()}
        self.entries: dict[tuple[Tool, str], Entry] = {}
        for tool in self.tools:
            key = (tool, summaries.get(tool.server, ""))
            self.entries[key] = known.get(key) or entry(*key)
        self._index = Index(list(self.entries.values()))
        typed = before.signatures if before is not None else {}
        self.signatures: dict[Tool, Signature] = {tool: typed.get(tool) or signature(tool) for tool in self.tools}
        self._views: OrderedDict[tuple[str, frozenset[str]], Stubs] = OrderedDict()
        self._modules: OrderedDict[tuple[str, frozenset[str]], Module] = OrderedDict()

    def servers(self, allowed: Allowed | None = None) -> list[str]:
        """Return server names in configured order. With ``allowed``: those with a tool that may be seen, and those
        whose tools are not known because they never answered.
        """
        if allowed is None:
            return list(self._by_server)
        return [name for name, tools in self._by_server.items() if not tools or any(map(allowed, tools.values()))]

    def state(self, server: str) -> ServerState | None:
        """Return how a server is; None for one that nobody configured."""
        return self._states.get(server)

    def find(self, server: str, python_name: str) -> Tool | None:
        """Return the tool that a program names."""
        return self._by_server.get(server, {}).get(python_name)

    def exact(self, name: str) -> Tool | None:
        """Return the tool of this full name, ``server.tool``, written as programs or as the upstream write it."""
        return self._by_name.get(name.strip())

    def visible(self, server: str, allowed: Allowed) -> list[Tool]:
        """Return the tools of one server that may be seen, in name order; empty for an unknown server."""
        return [tool for tool in self._by_server.get(server, {}).values() if allowed(tool)]

    def search(
        self, queries: Sequence[str], *, server: str | None = None, limit: int = 40, allowed: Allowed = everything
    ) -> list[Tool]:
        """Return up to ``limit`` tools, best first, the queries taking turns. Only ``allowed`` tools, only of
        ``server`` if given. Empty when no word of any query is known.
        """

        def fits(document: int) -> bool:
            tool = self.tools[document]
            return (server is None or tool.server == server) and allowed(tool)

        scores = [self._index.scores(query, fits) for query in dict.fromkeys(queries)]
        return [self.tools[document] for document in turns(scores, limit, fits)]

    def similar(self, name: str, *, server: str | None = None, allowed: Allowed = everything) -> list[str]:
        """Return full names of up to three tools whose names look like ``name``."""
        tools = (tool for tool in self.tools if server in {None, tool.server} and allowed(tool))
        return closest(name, (tool.qualified for tool in tools))

    def stubs(self, server: str, allowed: Allowed = everything) -> Stubs:
        """Return the stubs of what may be seen of one server. Raises LookupError for an unknown server."""
        return self._view(server, self._visible_names(server, allowed))

    def module(self, server: str, allowed: Allowed = everything) -> Module:
        """Return one server as programs import it: functions and stubs of the ``allowed`` tools alone.

        Raises LookupError for an unknown server.
        """
        key = (server, self._visible_names(server, allowed))
        found = self._modules.get(key)
        if found is None:
            found = self._modules[key] = self._view(*key).module(server)
            _trim(self._modules)
        return found

    def _visible_names(self, server: str, allowed: Allowed) -> frozenset[str]:
        tools = self._by_server.get(server)
        if tools is None:
            raise LookupError(f"no server is called {server!r}")
        return frozenset(name for name, tool in tools.items() if allowed(tool))

    def _view(self, server: str, names: frozenset[str]) -> Stubs:
        found = self._views.get((server, names))
        if found is None:
            tools = [tool for name, tool in self._by_server[server].items() if name in names]
            found = self._views[server, names] = Stubs(tools, self.signatures)
            _trim(self._views)
        return found


def _trim(cache: OrderedDict[tuple[str, frozenset[str]], Any]) -> None:
    while len(cache) > MAX_VIEWS:
        cache.popitem(last=False)
