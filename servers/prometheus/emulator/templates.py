"""The part of Prometheus's annotation templates that people use: ``$labels``, ``$value`` and ways to print numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

_EXPRESSION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_LABEL = re.compile(r"\$labels\.([A-Za-z_]\w*)")
_PRINTF = re.compile(r'printf\s+"([^"%]*)%(\.\d+)?([fgd])((?:[^"%]|%%)*)"\s+\$value')
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def expand(template: str, labels: Mapping[str, str], value: float) -> str:
    """Return the template filled in; what is not understood stays as it is written."""
    return _EXPRESSION.sub(lambda found: _filled(found.group(1), labels, value, found.group(0)), template)


def _filled(expression: str, labels: Mapping[str, str], value: float, written: str) -> str:
    if found := _LABEL.fullmatch(expression):
        return labels.get(found.group(1), "")
    if expression == "$value":
        return f"{value:g}"
    if found := _PRINTF.fullmatch(expression):
        before, digits, kind, after = found.groups()
        number = f"{int(value)}" if kind == "d" and math.isfinite(value) else f"{value:{digits or ''}{kind}}"
        return before + number + after.replace("%%", "%")
    parts = [part.strip() for part in expression.split("|")]
    if len(parts) == 2 and parts[0] == "$value" and parts[1] in _FORMATS:
        return _FORMATS[parts[1]](value)
    return written


def humanize(value: float) -> str:
    """Return a number with four digits and a metric prefix."""
    if not math.isfinite(value) or abs(value) < 1:
        return f"{value:.4g}"
    power = min(int(math.log10(abs(value)) // 3), len(_PREFIXES) - 1)
    return f"{value / 1_000**power:.4g}{_PREFIXES[power]}"


def _percentage(value: float) -> str:
    return f"{value * 100:.4g}%"


def _duration(value: float) -> str:
    if not math.isfinite(value):
        return f"{value:.4g}"
    if abs(value) < 1:
        return f"{value * 1_000:.4g}ms" if value else "0s"
    minutes, seconds = divmod(abs(value), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m")]
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts))
    whole = " ".join(f"{count}{unit}" for count, unit in parts[first:])
    tail = f"{int(seconds)}s" if whole else f"{seconds:.4g}s"
    return ("-" if value < 0 else "") + f"{whole} {tail}".strip()


_FORMATS: dict[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanizePercentage": _percentage,
    "humanizeDuration": _duration,
}
