"""Values over time: a query is computed for all its steps at once, one column per series, None where it is absent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from servers.prometheus.emulator.promql.errors import ExecutionError
from servers.prometheus.emulator.promql.labels import Labels, selector_text

MAX_VALUES = 4_000_000


@dataclass(frozen=True, slots=True)
class Steps:
    """The moments a query is computed for, milliseconds since 1970. An instant query has one."""

    start_ms: int
    step_ms: int = 1
    count: int = 1

    @property
    def times_ms(self) -> range:
        """Every moment, ascending."""
        return range(self.start_ms, self.start_ms + self.step_ms * self.count, self.step_ms)

    @property
    def end_ms(self) -> int:
        """The last moment."""
        return self.start_ms + self.step_ms * (self.count - 1)


@dataclass(frozen=True, slots=True)
class Column:
    """One series of a result."""

    labels: Labels
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number per step, without labels."""

    values: Sequence[float]


Vector = list[Column]
Value = Vector | Scalar | str


def distinct(columns: Iterable[Column]) -> Vector:
    """Return the columns that hold a value, merged where labels are equal. Raises ExecutionError if two collide."""
    found: dict[Labels, Column] = {}
    for column in columns:
        if all(value is None for value in column.values):
            continue
        other = found.get(column.labels)
        found[column.labels] = column if other is None else _merged(other, column)
    return list(found.values())


def _merged(one: Column, other: Column) -> Column:
    values: list[float | None] = []
    for a, b in zip(one.values, other.values, strict=True):
        if a is not None and b is not None:
            raise ExecutionError("vector cannot contain metrics with the same labelset")
        values.append(b if a is None else a)
    return Column(one.labels, values)


def bounded(series: int, steps: Steps) -> None:
    """Raises ExecutionError when a result would be too large to compute."""
    if series * steps.count > MAX_VALUES:
        raise ExecutionError("query processing would load too many samples into memory in query execution")


def shown(labels: Labels) -> str:
    """Return labels for a message, always in braces."""
    text = selector_text(labels)
    return text or "{}"
