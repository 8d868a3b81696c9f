"""PromQL text to a checked tree: precedence as in Prometheus, every error with line and column.

What Prometheus can read and the emulator cannot compute (subqueries, ``@``, native histograms) is refused by name.
"""

from __future__ import annotations

from servers.prometheus.emulator.promql import checks
from servers.prometheus.emulator.promql.lexer import tokenize
from servers.prometheus.emulator.promql.nodes import (
    COMPARISON,
    SETS,
    Aggregation,
    Binary,
    Call,
    Cardinality,
    Matching,
    Node,
    Number,
    Paren,
    Text,
    Unary,
)
from servers.prometheus.emulator.promql.selectors import SelectorParser
from servers.prometheus.emulator.promql.signatures import AGGREGATIONS

MAX_DEPTH = 60
MAX_OPERATORS = 120
_PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(COMPARISON, 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_UNARY_PRECEDENCE = 6


def parse(query: str) -> Node:
    """Return the tree of a query. Raises ParseError."""
    return _Parser(query).whole()


class _Parser(SelectorParser):
    """Recursive descent with precedence climbing over the tokens of one query."""

    def __init__(self, query: str) -> None:
        super().__init__(query, tokenize(query))
        self._depth = 0
        self._operators = 0

    def whole(self) -> Node:
        """Return the tree of all tokens."""
        if self.peek().kind == "end":
            raise self.error(0, "no expression found in input")
        node = self._expression(1)
        if self.peek().kind != "end":
            raise self.unexpected()
        return node

    def _expression(self, precedence: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(self.peek().position, f"nested deeper than the emulator's limit of {MAX_DEPTH}")
        node = self._unary()
        while (found := _PRECEDENCE.get(self._binary_operator(), 0)) >= precedence:
            node = self._binary(node, found)
        self._depth -= 1
        return node

    def _binary_operator(self) -> str:
        token = self.peek()
        if token.kind not in {"operator", "identifier"}:
            return ""
        return token.text.lower() if token.kind == "identifier" else token.text

    def _binary(self, left: Node, precedence: int) -> Binary:
        token = self.advance()
        self._operators += 1
        if self._operators > MAX_OPERATORS:
            raise self.error(token.position, f"more binary operators than the emulator's limit of {MAX_OPERATORS}")
        operator = token.text.lower()
        returns_bool = self.accept_word("bool")
        matching = self._matching(operator)
        right = self._expression(precedence if operator == "^" else precedence + 1)
        node = Binary(operator, left, right, returns_bool, matching, left.position)
        return checks.binary(self.query, node, token.position)

    def _matching(self, operator: str) -> Matching | None:
        on = self.accept_word("on")
        if not on and not self.accept_word("ignoring"):
            return None
        labels = self.grouping()
        cardinality: Cardinality = "many-to-many" if operator in SETS else "one-to-one"
        include: tuple[str, ...] = ()
        for word, grouped in (("group_left", "many-to-one"), ("group_right", "one-to-many")):
            if self.accept_word(word):
                cardinality = "many-to-one" if grouped == "many-to-one" else "one-to-many"
                include = self.grouping() if self.at("(") else ()
        return Matching(cardinality, on, labels, include)

    def _unary(self) -> Node:
        token = self.peek()
        if token.kind == "operator" and token.text in {"+", "-"}:
            self.advance()
            inner = self._expression(_UNARY_PRECEDENCE)
            if isinstance(inner, Number):
                return Number(-inner.value if token.text == "-" else inner.value, token.position)
            return checks.unary(self.query, Unary(token.text, inner, token.position))
        return self._postfix(self._primary())

    def _primary(self) -> Node:
        token = self.peek()
        if token.kind == "number":
            return Number(_number(self.advance().text), token.position)
        if token.kind == "string":
            return Text(self.advance().text, token.position)
        if token.kind == "operator" and token.text == "(":
            self.advance()
            inner = self._expression(1)
            self.expect(")")
            return Paren(inner, token.position)
        if token.kind == "operator" and token.text == "{":
            return self.selector("", token.position)
        if token.kind in {"identifier", "metric"}:
            return self._word()
        raise self.unexpected()

    def _word(self) -> Node:
        token = self.advance()
        word = token.text.lower()
        if word in AGGREGATIONS and (self.at("(") or self.at_word("by") or self.at_word("without")):
            return self._aggregation(word, token.position)
        if word in {"inf", "nan"} and not self.at("{"):
            return Number(_number(word), token.position)
        if token.kind == "identifier" and self.at("("):
            arguments = self._arguments()
            return checks.call(self.query, Call(token.text, arguments, token.position))
        if word in SETS | {"atan2", "bool"}:
            raise self.error(token.position, f"unexpected <op:{token.text}>")
        return self.selector(token.text, token.position)

    def _aggregation(self, operator: str, position: int) -> Node:
        leading = self._by_or_without()
        arguments = self._arguments()
        without, grouping = leading or self._by_or_without() or (False, ())
        node_arguments = checks.aggregation(self.query, operator, arguments, position)
        parameter = node_arguments[0] if len(node_arguments) == 2 else None
        return Aggregation(operator, node_arguments[-1], parameter, grouping, without, position)

    def _by_or_without(self) -> tuple[bool, tuple[str, ...]] | None:
        if self.accept_word("by"):
            return False, self.grouping()
        if self.accept_word("without"):
            return True, self.grouping()
        return None

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        if self.accept(")"):
            return ()
        found = [self._expression(1)]
        while not self.accept(")"):
            if not self.accept(","):
                raise self.unexpected()
            found.append(self._expression(1))
        return tuple(found)

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.at("["):
                node = self.ranged(node)
            elif self.at_word("offset"):
                node = self.shifted(node)
            elif self.at("@"):
                raise self.error(self.peek().position, "the @ modifier is not supported by the emulator")
            else:
                return node


def _number(text: str) -> float:
    return float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
