"""Prometheus's syntax tree, flattened: what an expression reads and does, without recursion for reader or us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from servers.prometheus import decode
from servers.prometheus.decode import understood
from servers.prometheus.matchers import Matcher, Operator, label_name
from servers.prometheus.models import AstNode, AstSelector, PromqlAst

MAX_NODES = 500
SELECTORS = {"vectorSelector", "matrixSelector"}
# The fields that hold parts of an expression (web/api/v1/translate_ast.go), in reading order.
CHILDREN = ("lhs", "rhs", "param", "expr")


def outlined(query: str, tree: Any) -> PromqlAst:
    """Return the outline of a tree as /parse_query answers it. Raises VendorRejected for anything else."""
    with understood("Prometheus"):
        walked = list(_walk(tree))
        nodes = [node for _, node in walked]
        return PromqlAst(
            query=query,
            selectors=[_selector(node) for node in nodes if node["type"] in SELECTORS],
            functions=_distinct(node["func"]["name"] for node in nodes if node["type"] == "call"),
            aggregations=_distinct(_aggregation(node) for node in nodes if node["type"] == "aggregation"),
            operators=_distinct(decode.text(node["op"]) for node in nodes if node["type"] == "binaryExpr"),
            nodes=[AstNode(depth=depth, type=node["type"], detail=_detail(node)) for depth, node in walked[:MAX_NODES]],
            truncated=len(walked) > MAX_NODES,
        )


def _walk(tree: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (depth, node) depth first, with a stack of our own: how deep a query nests is up to whoever wrote it."""
    stack = [(0, tree)]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        children = [node[name] for name in CHILDREN if node.get(name) is not None] + (node.get("args") or [])
        stack += [(depth + 1, child) for child in reversed(children)]


def _selector(node: dict[str, Any]) -> AstSelector:
    conditions = [Matcher(m["name"], cast("Operator", m["type"]), decode.text(m["value"])) for m in node["matchers"]]
    exact = next((c.value for c in conditions if c.name == "__name__" and c.op == "="), None)
    return AstSelector(
        metric=node["name"] or exact,
        matchers=[str(c) for c in conditions if not (c.name == "__name__" and c.value == (node["name"] or exact))],
        range_s=node["range"] / 1000 if node["type"] == "matrixSelector" else None,
        offset_s=node["offset"] / 1000,
    )


def _aggregation(node: dict[str, Any]) -> str:
    grouping = ", ".join(label_name(name) for name in decode.strings(node["grouping"]))
    if not grouping and not node["without"]:
        return decode.text(node["op"])
    return f"{decode.text(node['op'])} {'without' if node['without'] else 'by'} ({grouping})"


def _detail(node: dict[str, Any]) -> str:
    match node["type"]:
        case "call":
            return decode.text(node["func"]["name"])
        case "aggregation":
            return _aggregation(node)
        case "binaryExpr" | "unaryExpr":
            return decode.text(node["op"])
        case "vectorSelector" | "matrixSelector":
            return _selector(node).metric or ""
        case "numberLiteral" | "stringLiteral":
            return decode.text(node["val"])
        case _:
            return ""


def _distinct(found: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(found))
