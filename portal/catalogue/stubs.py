"""Stubs: tools as typed Python. A module's text is what the type checker reads; a reply shows parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from portal.catalogue import clean
from portal.catalogue.naming import plain_field
from portal.catalogue.records import Tool
from portal.catalogue.shapes import Atom, Choice, DictOf, Either, ListOf, Named, Record, Shape, TupleOf
from portal.catalogue.signature import Signature, signature
from portal.catalogue.typenames import TypeNames
from portal.catalogue.wide import widened
from portal.sandbox.contract import Function, Module

TYPING = "from typing import Any, Literal, NotRequired, TypedDict\n"
SHOWN_LITERALS = 12


class Stubs:
    """The stubs of some tools of one server: those that one principal may see. Names depend on these tools alone, so
    that a hidden tool cannot be guessed from a gap in them.
    """

    def __init__(self, tools: Iterable[Tool], signatures: Mapping[Tool, Signature] | None = None) -> None:
        known = signatures or {}
        self.tools = {tool.python_name: tool for tool in tools}
        self.signatures = {name: known.get(tool) or signature(tool) for name, tool in self.tools.items()}
        self._names = TypeNames(self.signatures)

    def module(self, server: str, *, wide: bool = False) -> Module:
        """Return the module that programs import: functions, and ``.pyi`` text with every type in full.

        ``wide``: parameters take whatever may turn out to fit (portal.catalogue.wide).
        """
        functions = tuple(Function(name, tuple(tool.parameters)) for name, tool in self.tools.items())
        types = [self.type_text(name, complete=True) for name in self._names.records]
        defs = [self.signature_text(name, complete=True, wide=wide) for name in self.tools]
        return Module(server, functions, "\n".join([TYPING, *types, *defs]) + "\n")

    def signature_text(self, tool: str, *, complete: bool, wide: bool = False) -> str:
        """Return ``async def …: ...`` on one line. ``complete`` leaves defaults out and literals whole."""
        found = self.signatures[tool]
        arguments = []
        for argument in found.arguments:
            shape = widened(argument.shape) if wide else argument.shape
            text = f"{argument.name}: {self.shape_text(tool, shape, complete=complete)}"
            if not argument.required:
                text += f" = {'...' if complete else argument.default}"
            arguments.append(text)
        returns = self.shape_text(tool, found.returns, complete=complete)
        return f"async def {tool}({', '.join(arguments)}) -> {returns}: ..."

    def type_text(self, name: str, *, complete: bool) -> str:
        """Return the TypedDict of this name on one line."""
        tool, key = self._names.records[name]
        record = self.signatures[tool].records[key]
        total = {f.name: self._field_text(tool, f.shape, f.required, complete=complete) for f in record.fields}
        extra = self._extra_text(tool, record, complete=complete)
        if record.fields and all(plain_field(field) for field in total):
            return f"class {name}(TypedDict{extra}): " + "; ".join(f"{k}: {v}" for k, v in total.items())
        fields = ", ".join(f"{clean.literal(k)}: {v}" for k, v in total.items())
        return f'{name} = TypedDict("{name}", {{{fields}}}{extra})'

    def shape_text(self, tool: str, shape: Shape, *, complete: bool) -> str:
        """Return a type as Python text."""
        match shape:
            case Atom(text):
                found = text
            case Named(key):
                found = self._names.of(tool, key)
            case Choice():
                found = _choice_text(shape, complete=complete)
            case ListOf(item):
                found = f"list[{self.shape_text(tool, item, complete=complete)}]"
            case DictOf(value):
                found = f"dict[str, {self.shape_text(tool, value, complete=complete)}]"
            case TupleOf(items):
                found = f"tuple[{', '.join(self.shape_text(tool, item, complete=complete) for item in items)}]"
            case Either(options):
                found = " | ".join(self.shape_text(tool, option, complete=complete) for option in options)
        return found

    def nearby(self, tool: str) -> list[str]:
        """Return the names of the types that a reader of this tool needs first."""
        return list(dict.fromkeys(self._names.of(tool, key) for key in self.signatures[tool].nearby()))

    def all_types(self, tool: str) -> list[str]:
        """Return the names of every type that a tool leads to."""
        found = self.signatures[tool]
        shapes = [*(argument.shape for argument in found.arguments), found.returns]
        return list(dict.fromkeys(self._names.of(tool, key) for shape in shapes for key in found.reachable(shape)))

    def answers(self, tool: str) -> Iterator[tuple[str, Record]]:
        """Yield the name of each record that a tool's answer is made of, with the record, nearest first."""
        found = self.signatures[tool]
        for key in found.reachable(found.returns):
            yield self._names.of(tool, key), found.records[key]

    def types_of(self, tool: str) -> list[str]:
        """Return the names of the types in the signature of a tool; none for a tool that is not there."""
        return self.nearby(tool) if tool in self.tools else []

    def has_type(self, name: str) -> bool:
        """Say whether a record has this name."""
        return name in self._names.records

    def record(self, name: str) -> Record:
        """Return the record behind a type name."""
        tool, key = self._names.records[name]
        return self.signatures[tool].records[key]

    def _field_text(self, tool: str, shape: Shape, required: bool, *, complete: bool) -> str:
        text = self.shape_text(tool, shape, complete=complete)
        return text if required else f"NotRequired[{text}]"

    def _extra_text(self, tool: str, record: Record, *, complete: bool) -> str:
        if record.extra is None:
            return ""
        return f", extra_items={self.shape_text(tool, record.extra, complete=complete)}"


def _choice_text(shape: Choice, *, complete: bool) -> str:
    values = [clean.literal(value) if isinstance(value, str) else repr(value) for value in shape.values]
    if not complete and len(values) > SHOWN_LITERALS:
        values = [*values[:SHOWN_LITERALS], "..."]
    return f"Literal[{', '.join(values)}]"
