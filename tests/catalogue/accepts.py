"""A small reading of stub text: does a value fit the type that a stub names? Closed TypedDicts, as the checker has it."""

from __future__ import annotations

import ast
from typing import Any


class Types:
    """The TypedDicts and functions of one module's stub text."""

    def __init__(self, stubs: str) -> None:
        self.functions: dict[str, ast.AsyncFunctionDef] = {}
        self._records: dict[str, tuple[dict[str, ast.expr], ast.expr | None]] = {}
        for node in ast.parse(stubs).body:
            if isinstance(node, ast.ClassDef):
                fields = {
                    f.target.id: f.annotation
                    for f in node.body
                    if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)
                }
                self._records[node.name] = (fields, node.keywords[0].value if node.keywords else None)
            elif (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and isinstance(node.targets[0], ast.Name)
            ):
                body = node.value.args[1]
                assert isinstance(body, ast.Dict)
                fields = {
                    str(ast.literal_eval(k)): v for k, v in zip(body.keys, body.values, strict=True) if k is not None
                }
                extra = node.value.keywords[0].value if node.value.keywords else None
                self._records[node.targets[0].id] = (fields, extra)
            elif isinstance(node, ast.AsyncFunctionDef):
                self.functions[node.name] = node

    def parameter(self, function: str, name: str) -> ast.expr:
        found = next(a for a in self.functions[function].args.args if a.arg == name).annotation
        assert found is not None
        return found

    def returns(self, function: str) -> ast.expr:
        found = self.functions[function].returns
        assert found is not None
        return found

    def accept(self, kind: ast.expr, value: Any) -> bool:
        match kind:
            case ast.BinOp(left=left, right=right):
                return self.accept(left, value) or self.accept(right, value)
            case ast.Constant(value=None):
                return value is None
            case ast.Name(id=name):
                return self._named(name, value)
            case ast.Subscript(value=ast.Name(id=outer), slice=inner):
                return self._subscript(outer, inner, value)
        raise AssertionError(ast.dump(kind))

    def _named(self, name: str, value: Any) -> bool:
        if name in self._records:
            fields, extra = self._records[name]
            return isinstance(value, dict) and self._record(fields, extra, value)
        if name == "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        if name == "int":
            return isinstance(value, int) and not isinstance(value, bool)
        return name == "Any" or isinstance(value, {"str": str, "bool": bool}[name])

    def _record(self, fields: dict[str, ast.expr], extra: ast.expr | None, value: dict[str, Any]) -> bool:
        for name, kind in fields.items():
            optional = (
                isinstance(kind, ast.Subscript) and isinstance(kind.value, ast.Name) and kind.value.id == "NotRequired"
            )
            if name not in value:
                if not optional:
                    return False
            elif not self.accept(kind.slice if optional and isinstance(kind, ast.Subscript) else kind, value[name]):
                return False
        return all(extra is not None and self.accept(extra, value[name]) for name in value.keys() - fields.keys())

    def _subscript(self, outer: str, inner: ast.expr, value: Any) -> bool:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if outer == "Literal":
            return any(type(lit := ast.literal_eval(part)) is type(value) and lit == value for part in parts)
        if outer == "list":
            return isinstance(value, list) and all(self.accept(inner, item) for item in value)
        if outer == "tuple":
            return isinstance(value, list) and len(value) == len(parts) and all(map(self.accept, parts, value))
        assert outer == "dict", outer
        return isinstance(value, dict) and all(self.accept(parts[1], item) for item in value.values())
