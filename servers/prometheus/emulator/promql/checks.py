"""The types of a query: what a function takes, what may stand beside an operator. Messages are Prometheus's own."""

from __future__ import annotations

from servers.prometheus.emulator.promql.errors import ParseError
from servers.prometheus.emulator.promql.nodes import (
    COMPARISON,
    SETS,
    TYPE_TEXT,
    Aggregation,
    Binary,
    Call,
    Node,
    Number,
    Paren,
    Selector,
    Text,
    Type,
    Unary,
)
from servers.prometheus.emulator.promql.signatures import AGGREGATIONS, FUNCTIONS, NOT_SUPPORTED, Signature


def type_of(node: Node) -> Type:
    """Return what a node evaluates to."""
    match node:
        case Number():
            return "scalar"
        case Text():
            return "string"
        case Call():
            return FUNCTIONS[node.function].returns
        case Unary() | Paren():
            return type_of(node.expression)
        case _:
            return _compound_type(node)


def _compound_type(node: Selector | Aggregation | Binary) -> Type:
    if isinstance(node, Binary):
        return "scalar" if type_of(node.left) == type_of(node.right) == "scalar" else "vector"
    return "matrix" if isinstance(node, Selector) and node.range_ms is not None else "vector"


def call(query: str, node: Call) -> Call:
    """Return a call whose arguments fit. Raises ParseError."""
    name = node.function
    signature = FUNCTIONS.get(name)
    if signature is None:
        if name in NOT_SUPPORTED:
            raise ParseError(query, node.position, f'function "{name}" is not supported by the emulator')
        raise ParseError(query, node.position, f'unknown function with name "{name}"')
    _count(query, node, signature)
    for argument, wanted in zip(node.arguments, signature.parameters, strict=False):
        _expect(query, argument, wanted, f'call to function "{name}"')
    return node


def _count(query: str, node: Call, signature: Signature) -> None:
    most = len(signature.parameters)
    least = most - signature.optional
    given = len(node.arguments)
    if least <= given <= most:
        return
    bound = "" if not signature.optional else "at least " if given < least else "at most "
    wanted = most if given > most else least
    message = f'expected {bound}{wanted} argument(s) in call to "{node.function}", got {given}'
    raise ParseError(query, node.position, message)


def aggregation(query: str, operator: str, arguments: tuple[Node, ...], position: int) -> tuple[Node, ...]:
    """Return the arguments of an aggregation if they fit: (expression,) or (parameter, expression)."""
    parameter = AGGREGATIONS[operator]
    wanted = 1 if parameter is None else 2
    if not arguments:
        raise ParseError(query, position, "no arguments for aggregate expression provided")
    if len(arguments) != wanted:
        text = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(arguments)}"
        raise ParseError(query, position, text)
    _expect(query, arguments[-1], "vector", "aggregation expression")
    if parameter is not None:
        _expect(query, arguments[0], parameter, "aggregation parameter")
    return arguments


def unary(query: str, node: Unary) -> Unary:
    """Return a unary expression whose operand fits. Raises ParseError."""
    found = type_of(node.expression)
    if found not in {"scalar", "vector"}:
        text = "unary expression only allowed on expressions of type scalar or instant vector"
        raise ParseError(query, node.position, f'{text}, got "{TYPE_TEXT[found]}"')
    return node


def binary(query: str, node: Binary, operator_position: int) -> Binary:
    """Return a binary expression whose sides fit. Raises ParseError."""
    sides = (type_of(node.left), type_of(node.right))
    operator = node.operator
    if node.returns_bool and operator not in COMPARISON:
        raise ParseError(query, operator_position, "bool modifier can only be used on comparison operators")
    if operator in COMPARISON and not node.returns_bool and sides == ("scalar", "scalar"):
        raise ParseError(query, operator_position, "comparisons between scalars must use BOOL modifier")
    if not set(sides) <= {"scalar", "vector"}:
        text = "binary expression must contain only scalar and instant vector types"
        raise ParseError(query, node.position, text)
    if sides != ("vector", "vector"):
        if node.matching is not None and (node.matching.labels or node.matching.include):
            raise ParseError(query, node.position, "vector matching only allowed between instant vectors")
        if operator in SETS:
            text = f'set operator "{operator}" not allowed in binary scalar expression'
            raise ParseError(query, node.position, text)
    return _matching(query, node, operator_position)


def _matching(query: str, node: Binary, operator_position: int) -> Binary:
    matching = node.matching
    if matching is None:
        return node
    if node.operator in SETS and matching.cardinality != "many-to-many":
        raise ParseError(query, node.position, f'no grouping allowed for "{node.operator}" operation')
    twice = next((name for name in matching.include if matching.on and name in matching.labels), None)
    if twice is not None:
        text = f'label "{twice}" must not occur in ON and GROUP clause at once'
        raise ParseError(query, operator_position, text)
    return node


def _expect(query: str, node: Node, wanted: Type, context: str) -> None:
    found = type_of(node)
    if found != wanted:
        text = f"expected type {TYPE_TEXT[wanted]} in {context}, got {TYPE_TEXT[found]}"
        raise ParseError(query, node.position, text)
