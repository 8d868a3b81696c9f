"""Plain values as Backstage has them: what unquoted YAML text means, and which text filters see of a value.

Backstage keeps numbers as JavaScript does: ``1.0`` is the number 1, and there is no infinity.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0o[0-7]{1,21}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
MAX_NUMBER_CHARS = 400
MAX_EXACT = 2**53


def scalar(text: str) -> Any:
    """Return the value of an unquoted scalar, by the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    # JSON has no infinity: Backstage stores null.
    if _NO_NUMBER.fullmatch(text):
        return None
    return _number(text) if len(text) <= MAX_NUMBER_CHARS else text


def as_text(value: Any) -> str | None:
    """Return a scalar as filters compare it, None for null and for what is no scalar."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_EXACT):
        return _float_text(value)
    return str(value) if isinstance(value, str | int) else None


def _number(text: str) -> int | float | str | None:
    """Return the number that a text is, or the text."""
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if not _FLOAT.fullmatch(text):
        return text
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < MAX_EXACT else value


def _float_text(value: float) -> str | None:
    """Write a number as JavaScript does, which turns to exponents later than Python."""
    try:
        near = float(value)
    except OverflowError:
        return None
    if not math.isfinite(near):
        return None
    sign, digits, exponent = Decimal(repr(near)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if value == 0:
        return "0"
    if len(text) <= point <= 21:
        text = text.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        text = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1:+d}"
    return f"-{text}" if sign else text
