"""Queries over everything the emulator knows: the targets' metrics and what its rules have recorded."""

from __future__ import annotations

from dataclasses import dataclass

from servers.prometheus.emulator.promql.checks import type_of
from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector
from servers.prometheus.emulator.promql.evaluate import Evaluator
from servers.prometheus.emulator.promql.nodes import Node, Paren, Selector
from servers.prometheus.emulator.promql.selection import LOOKBACK_MS, Selection
from servers.prometheus.emulator.release import Release
from servers.prometheus.emulator.storage import Samples, Storage

Matrix = list[Samples]


@dataclass(frozen=True, slots=True)
class Engine:
    """Evaluates parsed queries. Blocks for as long as the computation takes."""

    storage: Storage
    release: Release
    lookback_ms: int = LOOKBACK_MS

    def instant(self, node: Node, time_ms: int) -> Vector | Scalar | str | Matrix:
        """Return a query's value at one moment. Raises ExecutionError."""
        selection = self._selection(Steps(time_ms))
        if type_of(node) == "matrix":
            return selection.raw(_selector(node))
        return Evaluator(selection).evaluate(node)

    def over(self, node: Node, steps: Steps) -> Vector:
        """Return the value of a vector or scalar query at every step. Raises ExecutionError."""
        value = Evaluator(self._selection(steps)).evaluate(node)
        if isinstance(value, Scalar):
            return [Column((), value.values)]
        if isinstance(value, str):
            raise TypeError("a string has no value over time")
        return value

    def _selection(self, steps: Steps) -> Selection:
        return Selection(self.storage, steps, left_open=self.release.is_3, lookback_ms=self.lookback_ms)


def _selector(node: Node) -> Selector:
    while isinstance(node, Paren):
        node = node.expression
    if not isinstance(node, Selector):
        raise TypeError("only a selector is a range")
    return node
