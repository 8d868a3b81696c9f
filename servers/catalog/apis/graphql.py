"""GraphQL schemas: one operation per field of the query, mutation and subscription types."""

from __future__ import annotations

import re
from typing import Literal

from servers.catalog.apis.models import Operation
from servers.catalog.apis.parsed import MAX_OPERATIONS, BadDefinition, Parsed, words

Root = Literal["query", "mutation", "subscription"]

ROOTS: tuple[Root, ...] = ("query", "mutation", "subscription")
# Possessive throughout, and an open block string runs to the end: a hostile file costs linear time.
_TOKEN = re.compile(
    r'"""(?P<block>(?:[^"\\]++|\\.|"(?!""))*+)(?P<end>"""|\\?\Z)|"(?P<text>(?:[^"\\\n]++|\\.)*+)"|#[^\n]*+'
    r"|(?P<word>[_A-Za-z][_0-9A-Za-z]*+|-?[0-9][-+.0-9eE]*+)|(?P<mark>\.\.\.|[!$&()\[\]:=@{|}])|[\s,]++|(?P<bad>.)",
    re.DOTALL,
)
_NEXT_ARGUMENT = re.compile(r"(?<![\[{(]) (?=[_A-Za-z][_0-9A-Za-z]*:)")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def graphql(text: str) -> Parsed:
    """Return the operations of a schema. Raises BadDefinition."""
    reader = _Reader(_tokens(text))
    roots: dict[str, Root] = {root.capitalize(): root for root in ROOTS}
    fields: list[tuple[str, Operation]] = []
    while not reader.done():
        word = reader.take()
        if word == "schema":
            roots = reader.roots() or roots
        elif word == "type":
            fields += reader.type()
        elif word in _OPEN:
            reader.skip()
    found = [operation.model_copy(update={"kind": roots[name]}) for name, operation in fields if name in roots]
    return Parsed(None, None, found[:MAX_OPERATIONS])


def _tokens(text: str) -> list[str]:
    """Return the tokens; a description is one token that begins with a quotation mark."""
    found = []
    for match in _TOKEN.finditer(text):
        if match["bad"] or match["end"] not in {None, '"""'}:
            raise BadDefinition(f"not a GraphQL schema: unexpected character at position {match.start()}")
        said = match["block"] if match["block"] is not None else match["text"]
        token = match["word"] or match["mark"] or ('"' + said if said is not None else None)
        if token:
            found.append(token)
    return found


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> str:
        return "" if self.done() else self._tokens[self._at]

    def take(self) -> str:
        if self.done():
            raise BadDefinition("not a GraphQL schema: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def skip(self) -> str:
        """Go behind the bracket that was just opened and return what stood inside."""
        depth, start = 1, self._at
        while depth:
            token = self.take()
            depth += (token in _OPEN) - (token in _CLOSE)
        return _joined(self._tokens[start : self._at - 1])

    def roots(self) -> dict[str, Root]:
        """Read ``schema @directive { query: Q … }``."""
        found: dict[str, Root] = {}
        self._directives()
        if self.peek() != "{":
            return found
        self.take()
        while self.peek() != "}":
            name = self.take()
            if self.take() != ":":
                raise BadDefinition("not a GraphQL schema: a root type looks like query: Query")
            kind = self.take()
            for root in ROOTS:
                if root == name:
                    found[kind] = root
        self.take()
        return found

    def type(self) -> list[tuple[str, Operation]]:
        """Read a type after its keyword and return its fields under its name."""
        name = self.take()
        while self.peek() not in {"", "{", "type", "extend", "schema", "input", "enum", "interface", "union", "scalar"}:
            token = self.take()
            if token in _OPEN:
                self.skip()
        if self.peek() != "{":
            return []
        self.take()
        found = []
        while self.peek() != "}":
            found.append((name, self._field()))
        self.take()
        return found

    def _field(self) -> Operation:
        said = self.take()[1:] if self.peek().startswith('"') else None
        name, given = self.take(), None
        if self.peek() == "(":
            self.take()
            given = self.skip()
        if self.take() != ":":
            raise BadDefinition(f"not a GraphQL schema: field {name[:60]} has no type")
        kind = self._type()
        deprecated = "deprecated" in self._directives()
        return Operation(
            kind="query", name=name, method=None, path=name, summary=words(said), input=words(given), output=kind,
            deprecated=deprecated,
        )  # fmt: skip

    def _type(self) -> str:
        first = self.take()
        found = f"[{self.skip()}]" if first == "[" else first
        if self.peek() == "!":
            found += self.take()
        return found

    def _directives(self) -> set[str]:
        found = set()
        while self.peek() == "@":
            self.take()
            found.add(self.take())
            if self.peek() == "(":
                self.take()
                self.skip()
        return found


def _joined(tokens: list[str]) -> str:
    """Return tokens as people write them; descriptions are left out."""
    text = " ".join(token for token in tokens if not token.startswith('"'))
    for mark in (":", "!", "]"):
        text = text.replace(f" {mark}", mark)
    # Commas are white space in GraphQL; people want to see them.
    return _NEXT_ARGUMENT.sub(", ", text.replace("[ ", "["))
