"""What a program says before it runs: which servers it imports and which tools it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from portal.sandbox.gaps import gap_of

_FENCE = re.compile(r"\A\s*```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)\r?\n?```\s*\Z", re.DOTALL | re.IGNORECASE)


class SourceError(Exception):
    """The program does not parse. ``line`` counts from 1."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed program. ``tools`` holds (server, Python name) pairs; ``unresolved`` is true when a server is used in a
    way that reading cannot follow, so that more tools than those may be called. ``ends_in_value`` is false when the
    last statement surely is no result. ``gap`` is what Monty lacks for it (portal.sandbox.gaps), None when that was not
    read.
    """

    code: str
    servers: frozenset[str]
    tools: frozenset[tuple[str, str]]
    unresolved: bool
    ends_in_value: bool = True
    gap: str | None = None


def read(code: str, servers: Collection[str]) -> Source:
    """Parse a program and resolve what it names of ``servers``. Nothing runs. Raises SourceError, but only for a
    program that names one.

    Resolution errs towards ``unresolved``: a missed name would let a write run unchecked against its stub. (Policy does
    not depend on it: every call is judged by the gate.)
    """
    fenced = _FENCE.match(code)
    if fenced:
        code = fenced.group(1)
    if not any(server in code for server in servers):
        # No server's name stands in it, so it calls nothing; whether it is Python the sandbox says.
        return Source(code, frozenset(), frozenset(), unresolved=False)
    try:
        tree = ast.parse(code, mode="exec", feature_version=(3, 11))
    except SyntaxError as error:
        raise SourceError(f"SyntaxError: {error.msg}", error.lineno) from None
    except (ValueError, MemoryError, RecursionError):
        raise SourceError("SyntaxError: the program is nested too deeply or holds a null byte", None) from None
    nodes = list(ast.walk(tree))
    names = _Names(frozenset(servers))
    names.read(nodes)
    return Source(
        code,
        frozenset(names.servers),
        frozenset(names.tools),
        names.unresolved,
        ends_in_value=_ends_in_value(tree, nodes),
        gap=gap_of(nodes, servers),
    )


def _ends_in_value(tree: ast.Module, nodes: Sequence[ast.AST]) -> bool:
    if not tree.body or isinstance(tree.body[-1], ast.Expr | ast.Return):
        return True
    return any(isinstance(node, ast.Return) for node in nodes)


class _Names:
    """Collects imports of servers, then every use of their names."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._aliases: dict[str, str] = {}
        self.servers: set[str] = set()
        self.tools: set[tuple[str, str]] = set()
        self.unresolved = False

    def read(self, nodes: Sequence[ast.AST]) -> None:
        """Read imports first: a function may stand above the import that it uses."""
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        if not self._aliases:
            return
        followed: set[ast.AST] = set()
        for node in nodes:
            # A tree is walked from its root, so that an attribute comes before the name that it is of.
            if isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
                    server = self._aliases.get(node.value.id)
                    if server is not None:
                        self.tools.add((server, node.attr))
                        followed.add(node.value)
            elif isinstance(node, ast.Name) and node.id in self._aliases and node not in followed:
                # A module used as a value (passed on, rebound, given to getattr) can be called under any name.
                self.unresolved = True

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in self._known:
                    self.servers.add(alias.name)
                    self._aliases[alias.asname or alias.name] = alias.name
        elif node.module in self._known and not node.level:
            self.servers.add(node.module)
            for alias in node.names:
                if alias.name == "*":
                    self.unresolved = True
                else:
                    self.tools.add((node.module, alias.name))
