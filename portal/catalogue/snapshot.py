"""The catalogue at one moment: every tool, found by name or by query, and the modules that programs import.

Immutable: a refresh makes a new one, and a request that began with the old one keeps it. What a principal may see is
an argument of each question, never state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from portal.catalogue.index import Index
from portal.catalogue.meaning import TextVectors, word_vectors
from portal.catalogue.pacing import unhurried
from portal.catalogue.ranking import turns
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.section import Section, section
from portal.catalogue.signature import Signature, signature
from portal.catalogue.similar import closest
from portal.catalogue.stubs import Stubs
from portal.catalogue.visibility import Allowed, Visibilities
from portal.sandbox.contract import Module

MAX_VIEWS = 256
"""How many (server, visible tools) views are kept: principals of one group share theirs."""


def everything(_tool: Tool) -> bool:
    """Allow every tool: for views that no principal stands behind."""
    return True


class Catalogue:
    """All tools and all server states. Building one costs time in proportion to the tools: do it in a thread.

    ``before`` is the catalogue that this one replaces, made with the same ``vectors``; what did not change is taken
    from it.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        states: Iterable[ServerState],
        *,
        before: Catalogue | None = None,
        vectors: Callable[[], TextVectors | None] = word_vectors,
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
        found = vectors()
        self.is_slow = found is not None and found.is_slow
        self.sections = {name: self._section(name, found, before) for name in self._by_server}
        self._index = Index(list(self.sections.values()), found)
        self._documents = tuple(tool for found in self.sections.values() for tool in found.tools)
        self._spans = _spans(self.sections)
        self._visible = Visibilities(self._documents)
        typed = before.signatures if before is not None else {}
        self.signatures: dict[Tool, Signature] = {
            tool: typed.get(tool) or signature(tool) for tool in unhurried(self.tools)
        }
        self._views: OrderedDict[tuple[str, frozenset[str]], Stubs] = OrderedDict()
        self._modules: OrderedDict[tuple[str, frozenset[str], bool], Module] = OrderedDict()

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

    def understand(self, queries: Iterable[str]) -> None:
        """Read queries that ``search`` will be asked. Where ``is_slow``, to be done in a thread before it is."""
        for query in queries:
            self._index.understand(query)

    def search(
        self, queries: Sequence[str], *, server: str | None = None, limit: int = 40, allowed: Allowed = everything
    ) -> list[Tool]:
        """Return up to ``limit`` tools, best first, the queries taking turns. Only ``allowed`` tools, only of
        ``server`` if given. Empty when no query has a word or a meaning in common with any tool.
        """
        visible = self._visible.of(allowed)
        span = slice(0, len(self._documents)) if server is None else self._spans.get(server, slice(0, 0))
        scores = [self._index.scores(query, visible, visible.within(span)) for query in dict.fromkeys(queries)]
        return [self._documents[document] for document in turns(scores, limit, visible)]

    def similar(self, name: str, *, server: str | None = None, allowed: Allowed = everything) -> list[str]:
        """Return full names of up to three tools whose names look like ``name``."""
        tools = (tool for tool in self.tools if server in {None, tool.server} and allowed(tool))
        return closest(name, (tool.qualified for tool in tools))

    def stubs(self, server: str, allowed: Allowed = everything) -> Stubs:
        """Return the stubs of what may be seen of one server. Raises LookupError for an unknown server."""
        return self._view(server, self._visible_names(server, allowed))

    def module(self, server: str, allowed: Allowed = everything, *, wide: bool = False) -> Module:
        """Return one server as programs import it: functions and stubs of the ``allowed`` tools alone. ``wide``: for a
        check that refuses only what cannot fit (portal.catalogue.wide).

        Raises LookupError for an unknown server.
        """
        names = self._visible_names(server, allowed)
        found = self._modules.get((server, names, wide))
        if found is None:
            found = self._modules[server, names, wide] = self._view(server, names).module(server, wide=wide)
            _trim(self._modules)
        return found

    def _section(self, server: str, vectors: TextVectors | None, before: Catalogue | None) -> Section:
        """Return a server's share of the index: the one it had, when neither its tools nor its summary changed."""
        state = self._states.get(server)
        summary = state.summary if state is not None else ""
        tools = tuple(self._by_server[server].values())
        known = before.sections.get(server) if before is not None else None
        if known is not None and known.summary == summary and known.tools == tools:
            return known
        return section(tools, summary, vectors)

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


def _spans(sections: Mapping[str, Section]) -> dict[str, slice]:
    """Return where each server's documents stand."""
    spans: dict[str, slice] = {}
    start = 0
    for name, found in sections.items():
        spans[name] = slice(start, start + len(found.tools))
        start += len(found.tools)
    return spans


def _trim(cache: OrderedDict[Any, Any]) -> None:
    while len(cache) > MAX_VIEWS:
        cache.popitem(last=False)
