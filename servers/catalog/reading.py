"""YAML text becomes plain JSON values, or a fault with its line; no text can cost more than its bounds.

Scalars follow the YAML 1.2 core schema, as Backstage reads them: ``no`` and ``2026-01-01`` are strings. Custom tags
are refused, aliases are expanded within the node bound, and each document of a file fails alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from servers.catalog.scalars import as_text, scalar

MAX_DEPTH = 48
MAX_NODES = 200_000
LINE_DEPTH = 3

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_STR, _SEQ, _MAP = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))


class BadYaml(ValueError):
    """The text cannot be read; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its JSON value, its first line, and the line of each field near the top."""

    value: Any
    line: int
    lines: dict[str, int]

    def line_of(self, path: str) -> int:
        """Return the line of a dotted path, or of the nearest field above it."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, self.line)


def documents(text: str) -> Iterator[Document | BadYaml]:
    """Yield every document that is not empty, and a BadYaml in the place of each that cannot be read.

    All documents of a text share one bound on values: many small bombs are as costly as a large one.
    """
    left = MAX_NODES
    for first, chunk in _chunks(text):
        builder = _Builder(first, left)
        try:
            found = _document(chunk, builder)
        except BadYaml as bad:
            yield bad
            continue
        finally:
            left -= builder.nodes
        if found.value is not None:
            yield found


def load(text: str, *, max_nodes: int = MAX_NODES) -> Any:
    """Return the JSON value of a one-document text. Raises BadYaml."""
    return _document(text, _Builder(0, max_nodes)).value


def load_json(text: str) -> Any:
    """Return the value of a JSON text, within the same depth. Raises BadYaml."""
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadYaml("not JSON", error.lineno) from None
    except (ValueError, RecursionError):
        raise BadYaml("not JSON that can be read", 1) from None
    if _too_deep(found):
        raise BadYaml(f"nested deeper than {MAX_DEPTH} levels", 1)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield (lines before it, text) of each document: a marker in column 0 ends one, even inside a block scalar."""
    first, lines, begun = 0, list[str](), False
    # Not splitlines: it would cut text at characters that are no line break in YAML 1.2.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        if line[:3] in {"---", "..."} and (len(line) == 3 or line[3] in " \t"):
            # With its last line break, which a block scalar at the end keeps.
            yield first, "".join(f"{one}\n" for one in lines)
            begun = line[0] == "-"
            first, lines = number, [line if begun else ""]
        else:
            # A directive precedes a document, and changes nothing that the core schema knows.
            directive = not begun and line.startswith("%")
            lines.append("" if directive else line)
            begun = begun or not (directive or line.strip() == "" or line.startswith("#"))
    yield first, "\n".join(lines)


def _document(text: str, builder: _Builder) -> Document:
    before = builder.before
    try:
        builder.marked = _check(text, before)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(f"not YAML: {error.problem or 'syntax error'}", before + (mark.line if mark else 0) + 1) from None
    except yaml.YAMLError:
        raise BadYaml("not YAML: it has characters that YAML forbids", before + 1) from None
    if node is None:
        return Document(None, before + 1, {})
    value = builder.build(node, "", 0)
    return Document(value, before + node.start_mark.line + 1, builder.lines)


def _check(text: str, before: int) -> set[tuple[int, int]]:
    """Return where scalars are marked as text (``!!str 1``), which composed nodes no longer tell.

    Refuse deep nesting while still reading events: the composer recurses in C, where depth would be a crash.
    """
    depth, marked = 0, set[tuple[int, int]]()
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise BadYaml(f"nested deeper than {MAX_DEPTH} levels", before + _line(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and event.tag in {_STR, "!"}:
            marked.add(_at(event))
    return marked


@dataclass(slots=True)
class _Builder:
    """Turns nodes into values, each alias built anew, so that the bound counts what a reader would meet."""

    before: int
    max_nodes: int
    lines: dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    marked: set[tuple[int, int]] = field(default_factory=set)

    def build(self, node: yaml.Node, path: str, depth: int) -> Any:
        line = self.before + node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise BadYaml(f"more than {self.max_nodes} values, aliases counted each time they are used", line)
        if depth > MAX_DEPTH:
            raise BadYaml(f"nested deeper than {MAX_DEPTH} levels", line)
        if depth <= LINE_DEPTH:
            self.lines.setdefault(path, line)
        if node.tag not in {_STR, _SEQ, _MAP}:
            raise BadYaml("tags (!name) are not part of an entity file", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, _below(path, at, depth), depth + 1) for at, item in enumerate(node.value)]
        return self._scalar(node) if isinstance(node, yaml.ScalarNode) else node.value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        plain = not node.style and _at(node) not in self.marked
        return scalar(text) if plain else text

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = self.before + key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadYaml("a key must be plain text", line)
            # As in JSON every key is text, that of its value: 1.0 and 1 are one key, and null is the empty one.
            name = as_text(self._scalar(key)) or ""
            if name in found:
                raise BadYaml("a key stands twice in one mapping", line)
            below = _below(path, name, depth)
            if depth < LINE_DEPTH:
                self.lines.setdefault(below, line)
            found[name] = self.build(value, below, depth + 1)
        return found


def _below(path: str, name: str | int, depth: int) -> str:
    """Return the path of a child, where lines are still kept."""
    if depth >= LINE_DEPTH:
        return ""
    return f"{path}.{name}" if path else str(name)


def _line(event: yaml.Event) -> int:
    return _at(event)[0] + 1


def _at(found: yaml.Event | yaml.Node) -> tuple[int, int]:
    mark = found.start_mark
    return (int(mark.line), int(mark.column)) if mark else (0, 0)
