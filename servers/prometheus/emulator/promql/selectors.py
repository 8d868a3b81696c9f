"""The token cursor, and the parts of the grammar about selectors: matchers, ranges, offsets, label lists."""

from __future__ import annotations

import re
from dataclasses import replace

from servers.prometheus.emulator.promql.durations import parse_ms
from servers.prometheus.emulator.promql.errors import ParseError
from servers.prometheus.emulator.promql.labels import NAME
from servers.prometheus.emulator.promql.lexer import Token
from servers.prometheus.emulator.promql.matchers import OPERATORS, Matcher, matcher, named
from servers.prometheus.emulator.promql.nodes import Node, Selector

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEFT_OPEN = {
    "(": "unclosed left parenthesis",
    "[": "unclosed left bracket",
    "{": "unexpected end of input inside braces",
}


class SelectorParser:
    """A cursor over the tokens of one query, and how selectors are read from it."""

    def __init__(self, query: str, tokens: list[Token]) -> None:
        self.query = query
        self._tokens = tokens
        self._next = 0

    def peek(self) -> Token:
        return self._tokens[self._next]

    def advance(self) -> Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def at(self, operator: str) -> bool:
        token = self.peek()
        return token.kind == "operator" and token.text == operator

    def at_word(self, word: str) -> bool:
        token = self.peek()
        return token.kind == "identifier" and token.text.lower() == word

    def accept(self, operator: str) -> bool:
        return self.at(operator) and bool(self.advance())

    def accept_word(self, word: str) -> bool:
        return self.at_word(word) and bool(self.advance())

    def expect(self, operator: str, *, context: str = "") -> None:
        if not self.accept(operator):
            raise self.unexpected(context, f'"{operator}"')

    def error(self, position: int, message: str) -> ParseError:
        return ParseError(self.query, position, message)

    def unexpected(self, context: str = "", expected: str = "") -> ParseError:
        """Return the error about the token at the cursor."""
        token = self.peek()
        if token.kind == "end" and token.text:
            return self.error(token.position, _LEFT_OPEN[token.text])
        if token.kind == "operator" and token.text == ")" and not expected:
            return self.error(token.position + 1, "unexpected right parenthesis ')'")
        where = f" in {context}" if context else ""
        wanted = f", expected {expected}" if expected else ""
        return self.error(token.position, f"unexpected {_described(token)}{where}{wanted}")

    def selector(self, name: str, position: int) -> Selector:
        """Return the selector whose name has just been read; the cursor may stand on its brace."""
        found: list[Matcher] = []
        if self.accept("{"):
            while not self.accept("}"):
                found.append(self._matcher())
                if not self.at("}"):
                    self.expect(",", context="label matching")
        if name:
            if other := next((m for m in found if m.name == NAME), None):
                message = f'metric name must not be set twice: "{name}" or "{other.value}"'
                raise self.error(position, message)
            found.append(named(name))
        if all(m.matches("") for m in found):
            raise self.error(position, "vector selector must contain at least one non-empty matcher")
        return Selector(name, tuple(found), position)

    def _matcher(self) -> Matcher:
        label = self.peek()
        if label.kind != "identifier":
            raise self.unexpected("label matching", 'identifier or "}"')
        self.advance()
        operator = self.peek()
        if operator.kind != "operator" or operator.text not in OPERATORS:
            raise self.unexpected("label matching", "label matching operator")
        self.advance()
        value = self.peek()
        if value.kind != "string":
            raise self.unexpected("label matching", "string")
        self.advance()
        try:
            return matcher(label.text, operator.text, value.text)
        except ValueError as error:
            raise self.error(label.position, str(error)) from None

    def ranged(self, node: Node) -> Selector:
        """Return the selector with the range that follows."""
        opening = self.advance()
        duration_ms = self._duration("duration", "subquery selector")
        if self.at(":") or (self.peek().kind == "metric" and self.peek().text.startswith(":")):
            raise self.error(self.peek().position, "subqueries are not supported by the emulator")
        self.expect("]", context="matrix selector")
        if not isinstance(node, Selector) or node.range_ms is not None:
            raise self.error(opening.position, "ranges only allowed for vector selectors")
        if node.offset_ms:
            raise self.error(opening.position, "no offset modifiers allowed before range")
        return replace(node, range_ms=duration_ms)

    def shifted(self, node: Node) -> Selector:
        """Return the selector with the offset that follows."""
        self.advance()
        sign = -1 if self.accept("-") else 1
        offset_ms = self._duration("duration", "offset", allow_zero=True)
        if not isinstance(node, Selector):
            message = (
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
            )
            raise self.error(node.position, message)
        if node.offset_ms:
            raise self.error(node.position, "offset may not be set multiple times")
        return replace(node, offset_ms=sign * offset_ms)

    def _duration(self, expected: str, context: str, *, allow_zero: bool = False) -> int:
        token = self.peek()
        if token.kind == "number" and context != "offset":
            raise self.error(token.position, "missing unit character in duration")
        if token.kind != "duration":
            raise self.unexpected(context, expected)
        self.advance()
        duration_ms = parse_ms(token.text)
        if duration_ms is None:
            raise self.error(token.position, f'not a valid duration string: "{token.text}"')
        if duration_ms == 0 and not allow_zero:
            raise self.error(token.position, "duration must be greater than 0")
        return duration_ms

    def grouping(self) -> tuple[str, ...]:
        """Return a list of label names in parentheses."""
        self.expect("(", context="grouping opts")
        found: list[str] = []
        while not self.accept(")"):
            token = self.peek()
            if token.kind != "identifier" or _LABEL.fullmatch(token.text) is None:
                raise self.unexpected("grouping opts", "label")
            found.append(self.advance().text)
            if not self.at(")") and not self.accept(","):
                raise self.unexpected("grouping opts", '"," or ")"')
        return tuple(found)


def _described(token: Token) -> str:
    if token.kind == "end":
        return "end of input"
    if token.kind == "operator":
        return (
            f"<op:{token.text}>"
            if token.text in "+-*/%^" or token.text in {"==", "!=", "<=", ">="}
            else (f'"{token.text}"')
        )
    return f'{token.kind} "{token.text}"'
