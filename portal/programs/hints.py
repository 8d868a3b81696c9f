"""What an agent should write instead: read from how a program failed and from what its person may see.

A hint names nothing that ``search`` would not show to the same principal, so a hidden tool and one that does not exist
get the same. What the program or an upstream wrote stands in quotes, on one line, and short.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from portal.catalogue import clean
from portal.catalogue.records import Tool
from portal.catalogue.reply_stub import effect_mark
from portal.catalogue.shapes import Choice, Either, ListOf, Record, Shape
from portal.catalogue.similar import closest
from portal.catalogue.snapshot import Catalogue
from portal.catalogue.stubs import Stubs
from portal.programs.source import Source
from portal.sandbox.contract import Diagnostic, Failure

MAX_HINTS = 3
MAX_STUBS = 2
MAX_EXPLAINED = 4
"""Findings that are looked into: each may compare a name with all those of a large server."""

MAX_OPTIONS = 1_000
MAX_STUB_CHARS = 320
MAX_NAME_CHARS = 60
MAX_KEYS = 16
MAX_KEYS_CHARS = 240

AWAIT = "write `await` before the call, or give several calls to asyncio.gather: tools are async functions"
NO_FILES = "there are no files and no network here; tools are the only way out"
_ARGUMENT_RULES = frozenset(
    {
        "invalid-argument-type",
        "missing-argument",
        "parameter-already-assigned",
        "positional-only-parameter-as-kwarg",
        "too-many-positional-arguments",
        "unknown-argument",
    }
)
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '?(\w+)")
_NO_NAME = re.compile(r"NameError: name '(\w+)' is not defined")
_NO_MEMBER = re.compile(
    r"odule [`'](\w+)[`'] has no (?:member|attribute) [`'](\w+)|"
    r"cannot import name '(?P<name>\w+)' from '(?P<module>\w+)'"
)
_NO_ATTRIBUTE = re.compile(r"AttributeError: 'dict' object has no attribute '(\w+)'")
_NO_KEY = re.compile(r"KeyError: (.+)", re.DOTALL)
_STRING_INDEX = re.compile(r"TypeError: string indices must be integers|AttributeError: 'str' object has no attribute")
_NO_FILE = re.compile(r"PermissionError: (?:Permission denied|\[Errno)")
_COROUTINE = re.compile(r"'coroutine' object|was never awaited|CoroutineType\[|<coroutine ")
_CALLED = re.compile(r"(?:TypeError|ValueError): (?:(\w+)\.)?(\w+)(?:\(\))?:? (?!object)")
_FUNCTION = re.compile(r"function `(\w+)`")
_ATTRIBUTE_OF = re.compile(r"Object of type `(\w+)` has no attribute `(\w+)`")
_KEY_OF = re.compile(r'Unknown key "(.*)" for TypedDict `(\w+)`', re.DOTALL)
_ITEM_OF = re.compile(r"TypedDict `(\w+)` can only be subscripted")
_METHOD_OF = re.compile(r"bound method `?(\w+)\.(\w+)\(")
_TYPED = re.compile(r"TypedDict `(\w+)`")
_FOUND_TEXT = re.compile(r'found `Literal\[(".*")\]`', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one program may see: everything that hints may name."""

    catalogue: Catalogue
    allowed: Callable[[Tool], bool]
    source: Source

    def servers(self) -> list[str]:
        """Return the servers that the program could import."""
        return self.catalogue.servers(self.allowed)

    def stubs(self) -> list[Stubs]:
        """Return the stubs of the servers that it does import."""
        return [self.catalogue.stubs(server, self.allowed) for server in sorted(self.source.servers)]

    def tools(self, name: str) -> list[Tool]:
        """Return the tools of this Python name: those that the program names, else those of its servers, else any."""
        named = [(server, tool) for server, tool in sorted(self.source.tools) if tool == name]
        found = [tool for server, _ in named if (tool := self._tool(server, name)) is not None]
        for servers in (sorted(self.source.servers), self.servers()):
            found = found or [tool for server in servers if (tool := self._tool(server, name)) is not None]
        return found

    def record(self, name: str) -> Record | None:
        """Return the record that the stubs call by this name."""
        for stubs in self.stubs():
            if stubs.has_type(name):
                return stubs.record(name)
        return None

    def answers(self) -> Iterator[tuple[str, Record]]:
        """Yield the records that the named tools answer with, nearest first, each with its name."""
        for server, name in sorted(self.source.tools):
            if self._tool(server, name) is not None:
                yield from self.catalogue.stubs(server, self.allowed).answers(name)

    def _tool(self, server: str, name: str) -> Tool | None:
        tool = self.catalogue.find(server, name)
        return tool if tool is not None and self.allowed(tool) else None


def hints(failure: Failure, findings: Sequence[Diagnostic], sight: Sight) -> list[str]:
    """Return what to write instead, most helpful first; at most MAX_HINTS, and MAX_STUBS signatures after them."""
    said = failure.message.partition("\n")[0][:1_000]
    found: dict[str, None] = {}
    for text in (
        _of_message(said, failure.hint, sight),
        *(_of_finding(finding, sight) for finding in findings[:MAX_EXPLAINED]),
    ):
        if text:
            found[text] = None
    if _COROUTINE.search(said) or any(_COROUTINE.search(finding.message) for finding in findings):
        found[AWAIT] = None
    if failure.kind in {"raised", "invalid"} and not found and not findings:
        found.update({text: None for text in _of_results(said, sight) if text})
    if failure.hint and not found:
        found[failure.hint] = None
    return [f"hint: {text}" for text in list(found)[:MAX_HINTS]] + _signatures(said, findings, sight)


def of_value(value: Any, printed: str, source: Source) -> str:
    """Return what a program that returned should know about what it returned, or ""."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, str) and first.startswith("<coroutine "):
        return f"(this is a coroutine and no result: {AWAIT})"
    if value is None and not printed and not source.ends_in_value:
        return "(no result: end with an expression, or use return)"
    return ""


def _of_message(said: str, known: str, sight: Sight) -> str:
    if match := _NO_MODULE.match(said):
        return _no_module(match.group(1), known, sight)
    if match := _NO_NAME.match(said):
        return _no_name(match.group(1), sight)
    if match := _NO_MEMBER.search(said):
        return _no_member(match, sight)
    if _STRING_INDEX.search(said):
        return _loop(sight)
    if _NO_FILE.match(said):
        return NO_FILES
    return ""


def _of_finding(finding: Diagnostic, sight: Sight) -> str:  # noqa: PLR0911 - one line a kind
    said = finding.message
    if match := _NO_MEMBER.search(said):
        return _no_member(match, sight)
    if match := _ATTRIBUTE_OF.match(said):
        record = sight.record(match.group(1))
        return "" if record is None else _dictionary(match.group(1), match.group(2), record)
    if match := _METHOD_OF.search(said):
        record = sight.record(match.group(1))
        return "" if record is None else _dictionary(match.group(1), match.group(2), record)
    if match := _KEY_OF.search(said):
        record = sight.record(match.group(2))
        return "" if record is None or "did you mean" in said else f"{match.group(2)} has the keys {_keys(record)}"
    if match := _ITEM_OF.search(said):
        record = sight.record(match.group(1))
        return "" if record is None else f"{match.group(1)} is a dictionary with the keys {_keys(record)}"
    if match := _FOUND_TEXT.search(said):
        return _meant_literal(match.group(1), said, sight)
    return ""


def _of_results(said: str, sight: Sight) -> Iterator[str]:
    """Guess from what the named tools answer, where the type check could not follow a value."""
    if match := _NO_ATTRIBUTE.match(said):
        yield f"what tools answer are dictionaries: write [{_quoted(match.group(1))}]"
    elif match := _NO_KEY.match(said):
        yield _likely_key(match.group(1).strip("'\""), sight)


def _no_module(name: str, known: str, sight: Sight) -> str:
    servers = sight.servers()
    close = difflib.get_close_matches(name[:MAX_NAME_CHARS], servers, n=1)
    if close:
        return f"did you mean `import {close[0]}`?"
    listed = ", ".join(servers[:MAX_KEYS]) + (", …" if len(servers) > MAX_KEYS else "")
    return known or f"only servers and the standard library can be imported; the servers are {listed or 'none'}"


def _no_name(name: str, sight: Sight) -> str:
    if name in sight.servers():
        return f"a server is a module: begin with `import {name}`"
    tools = sight.tools(name)
    if tools:
        server = tools[0].server
        return f"{name} is a tool of {server}: `import {server}`, then `await {server}.{name}(…)`"
    close = difflib.get_close_matches(name[:MAX_NAME_CHARS], sight.servers(), n=1)
    return f"did you mean `import {close[0]}`?" if close else ""


def _no_member(match: re.Match[str], sight: Sight) -> str:
    server, name = match.group("module") or match.group(1), match.group("name") or match.group(2)
    if server not in sight.source.servers:
        return ""
    names = [tool.python_name for tool in sight.catalogue.visible(server, sight.allowed)]
    similar = [f"{server}.{near}" for near in closest(name[:MAX_NAME_CHARS], names, 2)] or [
        f"{tool.server}.{name}" for tool in sight.tools(name) if tool.server != server
    ]
    return f"did you mean {' or '.join(similar)}?" if similar else "search finds the tools that there are"


def _dictionary(type_name: str, name: str, record: Record) -> str:
    fields = [field.name for field in record.fields]
    if name in fields:
        return f"{type_name} is a dictionary: write [{_quoted(name)}]"
    close = difflib.get_close_matches(name[:MAX_NAME_CHARS], fields, n=1)
    meant = f"; did you mean [{_quoted(close[0])}]?" if close else f" with the keys {_keys(record)}"
    return f"{type_name} is a dictionary{meant}"


def _loop(sight: Sight) -> str:
    for name, record in sight.answers():
        for field in record.fields:
            if isinstance(field.shape, ListOf):
                return f"a loop over a dictionary gives its keys; the list of {name} is [{_quoted(field.name)}]"
    return ""


def _likely_key(key: str, sight: Sight) -> str:
    near: list[str] = []
    for number, (name, record) in enumerate(sight.answers()):
        fields = [field.name for field in record.fields]
        if key in fields:
            return f"{_quoted(key)} is a key of {name}"
        near += [f"{_quoted(n)} of {name}" for n in difflib.get_close_matches(key[:MAX_NAME_CHARS], fields, n=1)]
        if number == 8:
            break
    return f"did you mean {near[0]}?" if near else ""


def _meant_literal(found: str, said: str, sight: Sight) -> str:
    try:
        value = json.loads(found)
    except ValueError:
        return ""
    function = _FUNCTION.search(said)
    if function is None or not isinstance(value, str):
        return ""
    for tool in sight.tools(function.group(1)):
        arguments = sight.catalogue.stubs(tool.server, sight.allowed).signatures[tool.python_name].arguments
        options = [text for argument in arguments for text in _texts(argument.shape)]
        close = difflib.get_close_matches(value[:MAX_NAME_CHARS], options[:MAX_OPTIONS], n=1)
        if close:
            return f"did you mean {_quoted(close[0])}?"
    return ""


def _texts(shape: Shape) -> list[str]:
    parts = shape.options if isinstance(shape, Either) else (shape.item if isinstance(shape, ListOf) else shape,)
    return [value for part in parts if isinstance(part, Choice) for value in part.values if isinstance(value, str)]


def _signatures(said: str, findings: Sequence[Diagnostic], sight: Sight) -> list[str]:
    """Return the signatures of the tools that were called wrongly and the records that were made wrongly, each once."""
    names = [(match.group(1) or "", match.group(2)) for match in [_CALLED.match(said)] if match]
    found: dict[str, None] = {}
    for finding in findings[:MAX_EXPLAINED]:
        if finding.rule in _ARGUMENT_RULES and (function := _FUNCTION.search(finding.message)):
            names.append(("", function.group(1)))
        elif finding.rule == "missing-typed-dict-key" and (typed := _TYPED.search(finding.message)):
            found.update(dict.fromkeys(_type_text(typed.group(1), sight)))
            names += _takers(typed.group(1), sight)
    for server, name in dict.fromkeys(names):
        for tool in [tool for tool in sight.tools(name) if server in {"", tool.server}][:1]:
            stubs = sight.catalogue.stubs(tool.server, sight.allowed)
            text = stubs.signature_text(name, complete=False).removesuffix(": ...")
            found[_cut(text) + effect_mark(tool)] = None
    return list(found)[:MAX_STUBS]


def _takers(name: str, sight: Sight) -> list[tuple[str, str]]:
    """Return which of the named tools take or answer the record of this name."""
    return [
        (server, tool)
        for server, tool in sorted(sight.source.tools)
        if sight.tools(tool) and name in sight.catalogue.stubs(server, sight.allowed).types_of(tool)
    ]


def _type_text(name: str, sight: Sight) -> list[str]:
    return [_cut(stubs.type_text(name, complete=False)) for stubs in sight.stubs() if stubs.has_type(name)][:1]


def _keys(record: Record) -> str:
    shown = ""
    for number, field in enumerate(record.fields):
        text = ("" if not number else ", ") + _quoted(field.name)
        if number == MAX_KEYS or len(shown) + len(text) > MAX_KEYS_CHARS:
            return f"{shown}, …"
        shown += text
    return shown or "of its own"


def _quoted(name: str) -> str:
    return clean.literal(name if len(name) <= MAX_NAME_CHARS else f"{name[: MAX_NAME_CHARS - 1]}…")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_STUB_CHARS else f"{text[: MAX_STUB_CHARS - 1]}…"
