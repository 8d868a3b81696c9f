"""Function calls: which implementation a name has, and how its arguments reach it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from servers.prometheus.emulator.promql import functions
from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Value, Vector, distinct
from servers.prometheus.emulator.promql.histograms import histogram_quantile
from servers.prometheus.emulator.promql.labels import without_name
from servers.prometheus.emulator.promql.nodes import Node, Paren, Selector
from servers.prometheus.emulator.promql.selection import Selection
from servers.prometheus.emulator.promql.windows import (
    WINDOW_FUNCTIONS,
    Window,
    WindowFunction,
    quantile,
    regression,
)


class Evaluation(Protocol):
    """What a call needs of the evaluator."""

    @property
    def selection(self) -> Selection: ...
    @property
    def steps(self) -> Steps: ...
    def vector(self, node: Node) -> Vector: ...
    def scalar(self, node: Node) -> Scalar: ...
    def text(self, node: Node) -> str: ...


Arguments = tuple[Node, ...]
Implementation = Callable[[Evaluation, Arguments], Value]


def _windows(evaluation: Evaluation, argument: Node, function: WindowFunction) -> Vector:
    columns = evaluation.selection.windows(cast("Selector", _bare(argument)), function)
    return distinct(Column(without_name(c.labels), c.values) for c in columns)


def _of_window(function: WindowFunction, evaluation: Evaluation, arguments: Arguments) -> Vector:
    return _windows(evaluation, arguments[0], function)


def _last_over_time(evaluation: Evaluation, arguments: Arguments) -> Vector:
    # The one range function that gives back a sample as it was: it keeps the metric's name.
    selector = cast("Selector", _bare(arguments[0]))
    return distinct(evaluation.selection.windows(selector, WINDOW_FUNCTIONS["last_over_time"]))


def _of_number(function: Callable[[float], float], evaluation: Evaluation, arguments: Arguments) -> Vector:
    vector = evaluation.vector(arguments[0]) if arguments else [Column((), _time(evaluation, ()).values)]
    return functions.mapped(vector, function)


def _quantile_over_time(evaluation: Evaluation, arguments: Arguments) -> Vector:
    wanted = dict(zip(evaluation.steps.times_ms, evaluation.scalar(arguments[0]).values, strict=True))
    offset_ms = cast("Selector", _bare(arguments[1])).offset_ms

    def wanted_quantile(window: Window) -> float:
        return quantile(wanted[window.end_ms + offset_ms], window.values)

    return _windows(evaluation, arguments[1], wanted_quantile)


def _predict_linear(evaluation: Evaluation, arguments: Arguments) -> Vector:
    ahead_s = dict(zip(evaluation.steps.times_ms, evaluation.scalar(arguments[1]).values, strict=True))
    offset_ms = cast("Selector", _bare(arguments[0])).offset_ms

    def predicted(window: Window) -> float | None:
        step_ms = window.end_ms + offset_ms
        line = regression(window, step_ms)
        return None if line is None else line[1] + line[0] * ahead_s[step_ms]

    return _windows(evaluation, arguments[0], predicted)


def _absent(evaluation: Evaluation, arguments: Arguments) -> Vector:
    return functions.absent(evaluation.vector(arguments[0]), _bare(arguments[0]), evaluation.steps)


def _absent_over_time(evaluation: Evaluation, arguments: Arguments) -> Vector:
    present = _windows(evaluation, arguments[0], lambda _window: 1.0)
    return functions.absent(present, _bare(arguments[0]), evaluation.steps)


def _round(evaluation: Evaluation, arguments: Arguments) -> Vector:
    to = evaluation.scalar(arguments[1]) if len(arguments) > 1 else _constant(evaluation, 1.0)
    return functions.mapped_with(evaluation.vector(arguments[0]), functions.rounded, to)


def _clamp(evaluation: Evaluation, arguments: Arguments) -> Vector:
    low, high = (evaluation.scalar(argument) for argument in arguments[1:])
    return functions.mapped_with(evaluation.vector(arguments[0]), functions.clamped, low, high)


def _clamp_min(evaluation: Evaluation, arguments: Arguments) -> Vector:
    low, high = evaluation.scalar(arguments[1]), _constant(evaluation, math.inf)
    return functions.mapped_with(evaluation.vector(arguments[0]), functions.clamped, low, high)


def _clamp_max(evaluation: Evaluation, arguments: Arguments) -> Vector:
    low, high = _constant(evaluation, -math.inf), evaluation.scalar(arguments[1])
    return functions.mapped_with(evaluation.vector(arguments[0]), functions.clamped, low, high)


def _timestamp(evaluation: Evaluation, arguments: Arguments) -> Vector:
    node = _bare(arguments[0])
    if isinstance(node, Selector):
        columns = evaluation.selection.latest(node, times=True)
        return distinct(Column(without_name(c.labels), c.values) for c in columns)
    return functions.mapped_with(evaluation.vector(node), lambda _value, now: now, _time(evaluation, ()))


def _histogram_quantile(evaluation: Evaluation, arguments: Arguments) -> Vector:
    return histogram_quantile(evaluation.scalar(arguments[0]), evaluation.vector(arguments[1]), evaluation.steps)


def _label_replace(evaluation: Evaluation, arguments: Arguments) -> Vector:
    destination, replacement, source, pattern = (evaluation.text(argument) for argument in arguments[1:])
    return functions.label_replace(evaluation.vector(arguments[0]), destination, replacement, source, pattern)


def _sort(evaluation: Evaluation, arguments: Arguments) -> Vector:
    return functions.ordered(evaluation.vector(arguments[0]), descending=False)


def _sort_desc(evaluation: Evaluation, arguments: Arguments) -> Vector:
    return functions.ordered(evaluation.vector(arguments[0]), descending=True)


def _scalar(evaluation: Evaluation, arguments: Arguments) -> Scalar:
    return functions.scalar(evaluation.vector(arguments[0]), evaluation.steps)


def _vector(evaluation: Evaluation, arguments: Arguments) -> Vector:
    return [Column((), evaluation.scalar(arguments[0]).values)]


def _time(evaluation: Evaluation, _arguments: Arguments) -> Scalar:
    return Scalar([ms / 1_000 for ms in evaluation.steps.times_ms])


def _pi(evaluation: Evaluation, _arguments: Arguments) -> Scalar:
    return _constant(evaluation, math.pi)


def _constant(evaluation: Evaluation, value: float) -> Scalar:
    return Scalar([value] * evaluation.steps.count)


def _bare(node: Node) -> Node:
    while isinstance(node, Paren):
        node = node.expression
    return node


CALLS: dict[str, Implementation] = {
    **{name: partial(_of_window, function) for name, function in WINDOW_FUNCTIONS.items()},
    **{name: partial(_of_number, function) for name, function in functions.NUMBER_FUNCTIONS.items()},
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "histogram_quantile": _histogram_quantile,
    "label_replace": _label_replace,
    "last_over_time": _last_over_time,
    "pi": _pi,
    "predict_linear": _predict_linear,
    "quantile_over_time": _quantile_over_time,
    "round": _round,
    "scalar": _scalar,
    "sort": _sort,
    "sort_desc": _sort_desc,
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
}
"""One implementation for every name in ``signatures.FUNCTIONS``."""
