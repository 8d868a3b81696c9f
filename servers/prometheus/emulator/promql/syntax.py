"""A parsed query as JSON, in the shape of Prometheus 3's ``parse_query``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from servers.prometheus.emulator.numbers import number_text
from servers.prometheus.emulator.promql.nodes import (
    SETS,
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
from servers.prometheus.emulator.promql.signatures import FUNCTIONS


def tree(node: Node) -> dict[str, Any]:
    """Return the syntax tree."""
    match node:
        case Number():
            return {"type": "numberLiteral", "val": number_text(node.value)}
        case Text():
            return {"type": "stringLiteral", "val": node.value}
        case Selector():
            return _selector(node)
        case Paren():
            return {"type": "parenExpr", "expr": tree(node.expression)}
        case Unary():
            return {"type": "unaryExpr", "op": node.operator, "expr": tree(node.expression)}
        case _:
            return _compound(node)


def selectors_of(node: Node) -> Iterator[Selector]:
    """Yield every selector of a query, in the order of the text."""
    match node:
        case Selector():
            yield node
        case Paren() | Unary():
            yield from selectors_of(node.expression)
        case Call():
            for argument in node.arguments:
                yield from selectors_of(argument)
        case Aggregation():
            if node.parameter is not None:
                yield from selectors_of(node.parameter)
            yield from selectors_of(node.expression)
        case Binary():
            yield from selectors_of(node.left)
            yield from selectors_of(node.right)


def _compound(node: Call | Aggregation | Binary) -> dict[str, Any]:
    if isinstance(node, Call):
        return {"type": "call", "func": _function(node.function), "args": [tree(a) for a in node.arguments]}
    if isinstance(node, Aggregation):
        return {
            "type": "aggregation",
            "op": node.operator,
            "expr": tree(node.expression),
            "param": None if node.parameter is None else tree(node.parameter),
            "grouping": list(node.grouping),
            "without": node.without,
        }
    return {
        "type": "binaryExpr",
        "op": node.operator,
        "lhs": tree(node.left),
        "rhs": tree(node.right),
        "matching": _matching(node),
        "bool": node.returns_bool,
    }


def _selector(node: Selector) -> dict[str, Any]:
    common = {
        "name": node.name,
        "offset": node.offset_ms,
        "matchers": [{"name": m.name, "type": m.operator, "value": m.value} for m in node.matchers],
        "timestamp": None,
        "startOrEnd": None,
    }
    if node.range_ms is None:
        return {"type": "vectorSelector", **common}
    return {"type": "matrixSelector", "range": node.range_ms, **common}


def _function(name: str) -> dict[str, Any]:
    signature = FUNCTIONS[name]
    return {
        "name": name,
        "argTypes": list(signature.parameters),
        "variadic": signature.optional,
        "returnType": signature.returns,
    }


def _matching(node: Binary) -> dict[str, Any] | None:
    found = node.matching
    if found is None:
        if _is_number(node.left) or _is_number(node.right):
            return None
        found = Matching("many-to-many" if node.operator in SETS else "one-to-one", on=False, labels=(), include=())
    return {
        "card": found.cardinality,
        "labels": list(found.labels),
        "on": found.on,
        "include": list(found.include),
    }


def _is_number(node: Node) -> bool:
    match node:
        case Number():
            return True
        case Paren() | Unary():
            return _is_number(node.expression)
        case Call():
            return FUNCTIONS[node.function].returns == "scalar"
        case Binary():
            return _is_number(node.left) and _is_number(node.right)
        case _:
            return False
