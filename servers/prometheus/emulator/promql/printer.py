"""A parsed query back to text: on one line, or laid out over several where it is long, as Prometheus does."""

from __future__ import annotations

from servers.prometheus.emulator.numbers import number_text
from servers.prometheus.emulator.promql.durations import format_ms
from servers.prometheus.emulator.promql.labels import NAME
from servers.prometheus.emulator.promql.matchers import quoted
from servers.prometheus.emulator.promql.nodes import (
    Aggregation,
    Binary,
    Call,
    Matching,
    Node,
    Number,
    Paren,
    Selector,
    Text,
    Unary,
)

MAX_LINE_CHARS = 100
_INDENT = "  "


def text(node: Node) -> str:
    """Return the query on one line."""
    match node:
        case Number():
            return number_text(node.value)
        case Text():
            return quoted(node.value)
        case Selector():
            return _selector(node)
        case Paren():
            return f"({text(node.expression)})"
        case Unary():
            return f"{node.operator}{text(node.expression)}"
        case _:
            return _compound(node)


def _compound(node: Call | Aggregation | Binary) -> str:
    if isinstance(node, Call):
        return f"{node.function}({', '.join(map(text, node.arguments))})"
    if isinstance(node, Aggregation):
        arguments = [node.expression] if node.parameter is None else [node.parameter, node.expression]
        return f"{aggregation_head(node)}({', '.join(map(text, arguments))})"
    return f"{text(node.left)} {operator_text(node)} {text(node.right)}"


def _selector(node: Selector) -> str:
    inner = ",".join(sorted(m.text() for m in node.matchers if not (node.name and m.name == NAME)))
    found = f"{node.name}{{{inner}}}" if inner or not node.name else node.name
    if node.range_ms is not None:
        found += f"[{format_ms(node.range_ms)}]"
    if node.offset_ms:
        found += f" offset {'-' if node.offset_ms < 0 else ''}{format_ms(abs(node.offset_ms))}"
    return found


def aggregation_head(node: Aggregation) -> str:
    """Return an aggregation up to its opening parenthesis."""
    grouping = ", ".join(node.grouping)
    if node.without:
        return f"{node.operator} without ({grouping}) "
    return f"{node.operator} by ({grouping}) " if grouping else node.operator


def operator_text(node: Binary) -> str:
    """Return a binary operator with all that stands between its sides."""
    found = node.operator + (" bool" if node.returns_bool else "")
    return found + (_matching(node.matching) if node.matching else "")


def _matching(matching: Matching) -> str:
    found = ""
    grouped = matching.cardinality in {"many-to-one", "one-to-many"}
    if matching.labels or matching.on or grouped:
        found += f" {'on' if matching.on else 'ignoring'} ({', '.join(matching.labels)})"
    if grouped:
        side = "left" if matching.cardinality == "many-to-one" else "right"
        found += f" group_{side} ({', '.join(matching.include)})"
    return found


def pretty(node: Node, level: int = 0) -> str:
    """Return the query with every part that does not fit into a line of 100 characters broken up and indented."""
    indent = _INDENT * level
    line = text(node)
    if len(line) <= MAX_LINE_CHARS or isinstance(node, Number | Text | Selector):
        return indent + line
    return _broken_up(node, level, indent)


def _broken_up(node: Paren | Unary | Call | Aggregation | Binary, level: int, indent: str) -> str:
    match node:
        case Paren():
            return f"{indent}(\n{pretty(node.expression, level + 1)}\n{indent})"
        case Unary():
            return f"{indent}{node.operator}{pretty(node.expression, level).lstrip()}"
        case Call():
            return f"{indent}{node.function}(\n{_arguments(list(node.arguments), level)}\n{indent})"
        case Aggregation():
            arguments = [node.expression] if node.parameter is None else [node.parameter, node.expression]
            return f"{indent}{aggregation_head(node)}(\n{_arguments(arguments, level)}\n{indent})"
        case Binary():
            left, right = pretty(node.left, level + 1), pretty(node.right, level + 1)
            return f"{left}\n{indent}{operator_text(node)}\n{right}"


def _arguments(arguments: list[Node], level: int) -> str:
    return ",\n".join(pretty(argument, level + 1) for argument in arguments)
