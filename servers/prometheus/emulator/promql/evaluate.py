"""A parsed query and a storage to a result. Every step of a range query is computed in one pass over the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from servers.prometheus.emulator.promql.aggregate import aggregate
from servers.prometheus.emulator.promql.binary import combine
from servers.prometheus.emulator.promql.calls import CALLS
from servers.prometheus.emulator.promql.columns import Scalar, Steps, Value, Vector, bounded, distinct
from servers.prometheus.emulator.promql.functions import mapped
from servers.prometheus.emulator.promql.nodes import (
    Aggregation,
    Binary,
    Call,
    Node,
    Number,
    Paren,
    Selector,
    Text,
    Unary,
)
from servers.prometheus.emulator.promql.selection import Selection


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Computes nodes for the steps of one query."""

    selection: Selection

    @property
    def steps(self) -> Steps:
        """The moments that are computed."""
        return self.selection.steps

    def evaluate(self, node: Node) -> Value:
        """Return the value of a node that is not a range. Raises ExecutionError."""
        match node:
            case Number():
                return Scalar([node.value] * self.steps.count)
            case Text():
                return node.value
            case Selector():
                return distinct(self.selection.latest(node))
            case Paren():
                return self.evaluate(node.expression)
            case Call():
                return CALLS[node.function](self, node.arguments)
            case _:
                return self._compound(node)

    def _compound(self, node: Unary | Binary | Aggregation) -> Value:
        match node:
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Aggregation():
                parameter = None if node.parameter is None else self.scalar(node.parameter)
                return aggregate(node, self.vector(node.expression), parameter, self.steps)

    def _unary(self, node: Unary) -> Value:
        value = self.evaluate(node.expression)
        if node.operator == "+":
            return value
        if isinstance(value, Scalar):
            return Scalar([-number for number in value.values])
        return mapped(cast("Vector", value), lambda number: -number)

    def _binary(self, node: Binary) -> Vector | Scalar:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        result = combine(node, cast("Vector | Scalar", left), cast("Vector | Scalar", right), self.steps)
        if isinstance(result, list):
            bounded(len(result), self.steps)
        return result

    def vector(self, node: Node) -> Vector:
        """Return the value of a node that the parser found to be an instant vector."""
        return cast("Vector", self.evaluate(node))

    def scalar(self, node: Node) -> Scalar:
        """Return the value of a node that the parser found to be a number."""
        return cast("Scalar", self.evaluate(node))

    def text(self, node: Node) -> str:
        """Return the value of a node that the parser found to be a string."""
        return cast("str", self.evaluate(node))
