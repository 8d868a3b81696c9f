"""The tree of a parsed query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servers.prometheus.emulator.promql.matchers import Matcher

Type = Literal["scalar", "vector", "matrix", "string"]
TYPE_TEXT: dict[Type, str] = {
    "scalar": "scalar",
    "vector": "instant vector",
    "matrix": "range vector",
    "string": "string",
}
Cardinality = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]

ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
COMPARISON = frozenset({"==", "!=", "<", ">", "<=", ">="})
SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    position: int


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class Selector:
    """Instant selector, or range selector when ``range_ms`` is set. ``name`` is what stood before the braces."""

    name: str
    matchers: tuple[Matcher, ...]
    position: int
    range_ms: int | None = None
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Aggregation:
    operator: str
    expression: Node
    parameter: Node | None
    grouping: tuple[str, ...]
    without: bool
    position: int


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a binary operation find each other."""

    cardinality: Cardinality
    on: bool
    labels: tuple[str, ...]
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Node
    right: Node
    returns_bool: bool
    matching: Matching | None
    position: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    expression: Node
    position: int


@dataclass(frozen=True, slots=True)
class Paren:
    expression: Node
    position: int


Node = Number | Text | Selector | Call | Aggregation | Binary | Unary | Paren
