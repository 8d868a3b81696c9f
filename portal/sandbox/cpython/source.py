"""A program's text as Python can run it: a module's body in a function, so that it may await and return at its top.

Every name that the module binds stays global, so functions, classes and ``global`` see what they see in a module. The
value of the last expression is returned.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import CodeType

FILE = "<python-input-0>"
ENTRY = "__program__"
STAR = "__import_star__"


@dataclass(frozen=True, slots=True)
class Compiled:
    """Code that defines ENTRY, a function without parameters; ``awaits``: it is an async one."""

    code: CodeType
    awaits: bool


def compiled(source: str) -> Compiled:
    """Return the program, ready to run. Raises SyntaxError, ValueError, RecursionError, MemoryError."""
    tree = ast.parse(source, FILE)
    scope = _Scope()
    for statement in tree.body:
        scope.visit(statement)
    if scope.yields is not None:
        raise SyntaxError("'yield' outside function", (FILE, scope.yields, 1, None))
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    body = [_Rewritten(scope.awaits).visit(node) for node in tree.body if node not in futures]
    if body and isinstance(body[-1], ast.Expr):
        body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
    if scope.names:
        body.insert(0, ast.Global(sorted(scope.names)))
    entry = _function(scope.awaits)
    entry.body = body or [ast.Pass()]
    tree.body = [*futures, entry]
    ast.fix_missing_locations(tree)
    return Compiled(compile(tree, FILE, "exec", dont_inherit=True), scope.awaits)


def _function(awaits: bool) -> ast.FunctionDef | ast.AsyncFunctionDef:
    found = ast.parse(f"{'async ' if awaits else ''}def {ENTRY}(): pass").body[0]
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(found)
    return found


class _Scope(ast.NodeVisitor):
    """What the module's own scope binds, and whether it awaits or yields."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.awaits = False
        self.yields: int | None = None

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.names.add(node.name)
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names.add(node.name)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        # Only its first iterable is computed here; the rest is a generator's own scope.
        self.visit(node.generators[0].iter)

    def visit_alias(self, node: ast.alias) -> None:
        if node.name != "*":
            self.names.add(node.asname or node.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module != "__future__":
            self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.names.update(node.names)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
            isinstance(node, ast.comprehension) and node.is_async
        ):
            self.awaits = True
        elif isinstance(node, ast.Yield | ast.YieldFrom):
            self.yields = self.yields or node.lineno
        for field in ("name", "rest"):
            # ``except … as name``, ``case … as name``, ``*name``, ``**rest``
            bound = getattr(node, field, None)
            if isinstance(bound, str) and not isinstance(node, ast.alias):
                self.names.add(bound)
        super().generic_visit(node)


class _Rewritten(ast.NodeTransformer):
    """What a function's body may not hold, said another way; nested functions are left alone."""

    def __init__(self, awaits: bool) -> None:
        self._awaits = awaits

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name):
            return self.generic_visit(node)
        # A global name cannot be annotated in a function.
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        value = self.visit(node.value)
        return ast.copy_location(ast.Assign([node.target], value), node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if [alias.name for alias in node.names] != ["*"]:
            return node
        call = ast.Call(ast.Name(STAR, ast.Load()), [ast.Constant(node.module)], [])
        return ast.copy_location(ast.Expr(call), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if (
            self._awaits
            and isinstance(function, ast.Attribute)
            and function.attr == "run"
            and isinstance(function.value, ast.Name)
            and function.value.id == "asyncio"
            and node.args
        ):
            # A program that awaits at its top runs in a loop already, where asyncio.run would refuse.
            return ast.copy_location(ast.Await(node.args[0]), node)
        return node
