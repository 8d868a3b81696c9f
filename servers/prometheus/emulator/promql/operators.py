"""Arithmetic and comparison of two numbers, with the answers of IEEE 754 where Python would raise."""

from __future__ import annotations

import math
from collections.abc import Callable


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _modulo(a: float, b: float) -> float:
    if b == 0 or math.isinf(a):
        return math.nan
    return math.fmod(a, b)


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        return _power_of_zero(a, b) if a == 0 else math.nan


def _power_of_zero(a: float, b: float) -> float:
    odd = b.is_integer() and b % 2 == 1
    return math.copysign(math.inf, a) if odd else math.inf


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": _modulo,
    "^": _power,
    "atan2": math.atan2,
}

COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def operate(operator: str, a: float, b: float, *, returns_bool: bool) -> float | None:
    """Return the result of ``a operator b``; a comparison gives ``a`` or None, or 1 or 0 if ``returns_bool``."""
    if operator in ARITHMETIC:
        return ARITHMETIC[operator](a, b)
    holds = COMPARISON[operator](a, b)
    if returns_bool:
        return 1.0 if holds else 0.0
    return a if holds else None
