"""Label matchers: ``=``, ``!=``, ``=~`` and ``!~``. Regular expressions match the whole value, as in Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from servers.prometheus.emulator.promql.labels import NAME, Labels

Operator = Literal["=", "!=", "=~", "!~"]
OPERATORS = ("=", "!=", "=~", "!~")
MAX_REGEX_CHARS = 1_000
# RE2 has neither look-around nor back-references; accepting them would answer what Prometheus refuses.
_NOT_RE2 = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=|#)|(?<!\\)(?:\\\\)*\\[1-9]|[*+?}]\+")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a missing label counts as the empty string."""

    name: str
    operator: Operator
    value: str

    def matches(self, value: str) -> bool:
        """Say whether a label with this value satisfies the condition."""
        if self.operator in {"=", "!="}:
            return (value == self.value) == (self.operator == "=")
        return (compiled(self.value).fullmatch(value) is not None) == (self.operator == "=~")

    def text(self) -> str:
        """Return the condition as PromQL."""
        return f"{self.name}{self.operator}{quoted(self.value)}"


def matcher(name: str, operator: str, value: str) -> Matcher:
    """Return a checked matcher. Raises ValueError for a bad regular expression."""
    found = Matcher(name, cast("Operator", operator), value)
    if operator in {"=~", "!~"}:
        compiled(value)
    return found


def named(name: str) -> Matcher:
    """Return the matcher of a metric's name."""
    return Matcher(NAME, "=", name)


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Say whether a label set satisfies every condition."""
    values = dict(labels)
    return all(m.matches(values.get(m.name, "")) for m in matchers)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern. Raises ValueError if RE2 would refuse it, or if it is long."""
    if len(pattern) > MAX_REGEX_CHARS:
        raise ValueError(f"error parsing regexp: longer than {MAX_REGEX_CHARS} characters")
    if _NOT_RE2.search(pattern):
        raise ValueError(f"error parsing regexp: invalid or unsupported Perl syntax in `{pattern}`")
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"error parsing regexp: {error} in `^(?:{pattern})$`") from None


def quoted(value: str) -> str:
    """Return a string literal that reads back as the value."""
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    for plain, escape in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escape)
    return f'"{text}"'
