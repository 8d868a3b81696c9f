"""Functions of numbers and of whole vectors (those of ranges are in ``windows``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from servers.prometheus.emulator.promql.columns import Column, Scalar, Steps, Vector, distinct
from servers.prometheus.emulator.promql.errors import ExecutionError
from servers.prometheus.emulator.promql.labels import NAME, Labels, get, labels_of, without, without_name
from servers.prometheus.emulator.promql.matchers import compiled
from servers.prometheus.emulator.promql.nodes import Selector

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def apply(value: float) -> float:
        if value > 0:
            return function(value)
        return -math.inf if value == 0 else math.nan

    return apply


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _exp(value: float) -> float:
    return math.exp(value) if value < 709.78 or math.isnan(value) else math.inf


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else value


def _moment(part: Callable[[datetime], int]) -> Callable[[float], float]:
    def apply(value: float) -> float:
        return float(part(datetime.fromtimestamp(value, UTC))) if abs(value) < 2**37 else math.nan

    return apply


NUMBER_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
    "exp": _exp,
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sgn": _sign,
    "hour": _moment(lambda moment: moment.hour),
    "minute": _moment(lambda moment: moment.minute),
    "day_of_week": _moment(lambda moment: moment.isoweekday() % 7),
}


def mapped(vector: Vector, function: Callable[[float], float]) -> Vector:
    """Return the vector with the function applied to every value, and without metric names."""
    return distinct(
        Column(without_name(c.labels), [None if v is None else function(v) for v in c.values]) for c in vector
    )


def mapped_with(vector: Vector, function: Callable[..., float | None], *numbers: Scalar) -> Vector:
    """Return the vector with a function of each value and the step's numbers applied."""
    found = []
    for column in vector:
        others = zip(column.values, *(number.values for number in numbers), strict=True)
        values = [None if row[0] is None else function(*row) for row in others]
        found.append(Column(without_name(column.labels), values))
    return distinct(found)


def rounded(value: float, to: float) -> float:
    """Return the value rounded half up to a multiple of ``to``."""
    inverse = math.inf if to == 0 else 1 / to
    scaled = value * inverse + 0.5
    return math.floor(scaled) / inverse if math.isfinite(scaled) else scaled / inverse


def clamped(value: float, low: float, high: float) -> float | None:
    """Return the value within [low, high], NaN if any is NaN, None if the bounds cross."""
    if high < low:
        return None
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return math.nan
    return max(low, min(high, value))


def scalar(vector: Vector, steps: Steps) -> Scalar:
    """Return the only value of each step, NaN where there is not exactly one."""
    found = []
    for step in range(steps.count):
        present = [value for column in vector if (value := column.values[step]) is not None]
        found.append(present[0] if len(present) == 1 else math.nan)
    return Scalar(found)


def absent(vector: Vector, selector: object, steps: Steps) -> Vector:
    """Return 1 where the vector is empty, labelled by what the selector asked for."""
    values = [None if any(c.values[step] is not None for c in vector) else 1.0 for step in range(steps.count)]
    return distinct([Column(_asked_for(selector), values)])


def _asked_for(selector: object) -> Labels:
    if not isinstance(selector, Selector):
        return ()
    names = [m.name for m in selector.matchers]
    return labels_of(
        {
            m.name: m.value
            for m in selector.matchers
            if m.operator == "=" and m.name != NAME and names.count(m.name) == 1
        }
    )


def ordered(vector: Vector, *, descending: bool) -> Vector:
    """Return the vector ordered by its first value, NaN last."""
    sign = -1 if descending else 1

    def rank(column: Column) -> tuple[bool, float]:
        value = column.values[0]
        missing = value is None or math.isnan(value)
        return (missing, 0.0 if value is None or missing else sign * value)

    return sorted(vector, key=rank)


def label_replace(vector: Vector, destination: str, replacement: str, source: str, pattern: str) -> Vector:
    """Return the vector with one label set from another where the pattern matches all of it."""
    try:
        regex = compiled(pattern)
    except ValueError:
        raise ExecutionError(f"invalid regular expression in label_replace(): {pattern}") from None
    if _LABEL_NAME.fullmatch(destination) is None:
        raise ExecutionError(f"invalid destination label name in label_replace(): {destination}")
    found = []
    for column in vector:
        match = regex.fullmatch(get(column.labels, source))
        labels = column.labels
        if match is not None:
            value = _REFERENCE.sub(lambda r, m=match: _group(m, r), replacement)  # type: ignore[misc]
            labels = labels_of({**dict(without(labels, {destination})), destination: value})
        found.append(Column(labels, column.values))
    return distinct(found)


def _group(match: re.Match[str], reference: re.Match[str]) -> str:
    if reference.group(1):
        return "$"
    name = reference.group(2) or reference.group(3)
    key: int | str = int(name) if name.isdecimal() else name
    try:
        return match.group(key) or ""
    except IndexError:
        return ""
