"""One program for every way: what it calls and must know, and the same written for each.

A task's program uses tools by keyword and reads results by ``["key"]``. From its syntax follow the tools that it
needs, the names that an agent must have seen to write it, and its form for a peer.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Coroutine, Mapping
from types import FunctionType
from typing import Any

_SERVERS = ("catalog", "prometheus")


def tools_of(program: str) -> list[str]:
    """Return the full names of the tools that a program calls."""
    return list(dict.fromkeys(name for node in ast.walk(ast.parse(program)) if (name := _called(node))))


def names_of(program: str) -> set[str]:
    """Return the names that nobody can guess: parameters, keys of arguments, keys of results."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Call) and _called(node):
            found |= {keyword.arg for keyword in node.keywords if keyword.arg}
            found |= {
                key.value
                for keyword in node.keywords
                for inner in ast.walk(keyword.value)
                if isinstance(inner, ast.Dict)
                for key in inner.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(key := node.slice, ast.Constant)
            and isinstance(key.value, str)
        ):
            found.add(key.value)
    return found


def for_code_mode(program: str) -> str:
    """Return the program as FastMCP's CodeMode runs it: ``call_tool(name, arguments)``, and ``return``."""
    tree = _without_imports(ast.parse(program))
    return ast.unparse(ast.fix_missing_locations(_CallTool().visit(tree)))


def for_portal(program: str) -> str:
    """Return the program as the portal runs it, laid out as for the peer."""
    return ast.unparse(ast.parse(program))


def locally(program: str, servers: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
    """Return the program as a coroutine in this process, its servers replaced: an agent without any sandbox."""
    tree = _without_imports(ast.parse(program))
    main = ast.parse("async def main(): pass").body[0]
    assert isinstance(main, ast.AsyncFunctionDef)
    main.body = tree.body
    tree.body = [main]
    scope: dict[str, Any] = dict(servers)
    exec(compile(ast.fix_missing_locations(tree), "task", "exec"), scope)
    function: FunctionType = scope["main"]
    assert inspect.iscoroutinefunction(function)
    started: Coroutine[Any, Any, Any] = function()
    return started


def keys_of(schema: object) -> Collection[str]:
    """Return every property name in a JSON Schema."""
    found: set[str] = set()
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            found |= set(properties)
        for value in schema.values():
            found |= set(keys_of(value))
    elif isinstance(schema, list):
        for value in schema:
            found |= set(keys_of(value))
    return found


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    server = node.func.value
    return f"{server.id}.{node.func.attr}" if isinstance(server, ast.Name) and server.id in _SERVERS else ""


def _without_imports(tree: ast.Module) -> ast.Module:
    """Return the module without its servers' imports, its last expression returned."""
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Import) and all(alias.name in _SERVERS for alias in node.names))
    ]
    last = tree.body[-1]
    assert isinstance(last, ast.Expr), "a task's program ends with its result"
    tree.body[-1] = ast.Return(last.value)
    return tree


class _CallTool(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = _called(node)
        if not name:
            return node
        assert not node.args, "tools are called by keyword"
        arguments = ast.Dict([ast.Constant(k.arg) for k in node.keywords], [k.value for k in node.keywords])
        return ast.Call(ast.Name("call_tool", ast.Load()), [ast.Constant(name.replace(".", "_")), arguments], [])
