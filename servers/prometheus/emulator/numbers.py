"""Numbers as Go prints them: the shortest digits that read back exactly, with no exponent or with one."""

from __future__ import annotations

import math
from decimal import Decimal


def number_text(value: float) -> str:
    """Return a sample value as the HTTP API writes it: never an exponent; ``NaN``, ``+Inf``, ``-Inf``."""
    if not math.isfinite(value):
        return _special(value)
    text = repr(float(value))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def scientific_text(value: float) -> str:
    """Return an alert's value as the HTTP API writes it: ``1.25e-01``."""
    if not math.isfinite(value):
        return _special(value)
    sign, digits, exponent = Decimal(repr(float(value))).as_tuple()
    text = "".join(map(str, digits)).lstrip("0") or "0"
    power = int(exponent) + len(text) - 1 if text != "0" else 0
    text = text.rstrip("0") or "0"
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
