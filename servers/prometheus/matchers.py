"""Label matchers as Prometheus writes them: ``job="api"``, ``code=~"5.."``. Parsed strictly, written back escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import jsonschema_rs

from servers._kit import InvalidInput
from servers._kit.failures import quote

Operator = Literal["=", "!=", "=~", "!~"]
Test = Callable[[Mapping[str, str]], bool]

_MATCHER = re.compile(
    r'\s*(?:"(?P<quoted>[^"\\\x00-\x1f]+)"|(?P<name>[^\s=!~"\'`{},\\\x00-\x1f]+))\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*)',
    re.DOTALL,
)
_BARE_VALUE = re.compile(r"[^\s\"'`{},]*")
_PLAIN = re.compile(r"[a-zA-Z0-9]")
_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. Regular expressions are anchored at both ends, as in Prometheus."""

    name: str
    op: Operator
    value: str

    def __str__(self) -> str:
        return f"{label_name(self.name)}{self.op}{string(self.value)}"


def string(text: str) -> str:
    """Return ``text`` as a PromQL string: whatever it holds, it cannot end the string."""
    return json.dumps(text, ensure_ascii=False)


def label_name(name: str) -> str:
    """Return a label name as PromQL writes it: quoted when it is one of the UTF-8 names of Prometheus 3."""
    return name if _LEGACY_NAME.fullmatch(name) else string(name)


def label_in_path(name: str) -> str:
    """Return a label name as an address carries it: letters, digits and underscores alone.

    Prometheus 3 takes every other character as ``_hex_`` in a name that begins with ``U__``.
    """
    if _LEGACY_NAME.fullmatch(name):
        return name
    return "U__" + "".join(c * 2 if c == "_" else c if _PLAIN.fullmatch(c) else f"_{ord(c):x}_" for c in name)


def parse(text: str) -> Matcher:
    """Return the matcher that ``text`` writes; the value is quoted with ``"`` or backticks, or is one bare word.

    Raises InvalidInput.
    """
    found = _MATCHER.fullmatch(text)
    value = _value(found["value"].strip()) if found else None
    if found is None or value is None:
        raise InvalidInput(f'matcher {quote(text)} is not understood; write one of name="value", !=, =~"regex", !~')
    return Matcher(found["quoted"] or found["name"], cast("Operator", found["op"]), value)


def selector(matchers: Sequence[Matcher]) -> str:
    """Return a series selector of the matchers: ``{a="1",b=~"2"}``."""
    return "{" + ",".join(map(str, matchers)) + "}"


def tests(matchers: Sequence[Matcher]) -> Test:
    """Return a function that says whether a set of labels satisfies every matcher; a missing label is empty.

    Raises InvalidInput for a regular expression that is not one.
    """
    conditions = [_condition(m) for m in matchers]
    return lambda labels: all(condition(labels) for condition in conditions)


def _condition(matcher: Matcher) -> Test:
    name, value = matcher.name, matcher.value
    match matcher.op:
        case "=":
            return lambda labels: labels.get(name, "") == value
        case "!=":
            return lambda labels: labels.get(name, "") != value
        case "=~":
            matches = _pattern(value)
            return lambda labels: matches(labels.get(name, ""))
        case "!~":
            matches = _pattern(value)
            return lambda labels: not matches(labels.get(name, ""))


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Return a test for a regular expression that runs in linear time.

    A program may send ``(a+)+$``: Python's own engine would stop the whole server on it. The engine behind
    jsonschema-rs is an automaton like Prometheus's RE2 and takes nearly the same syntax.
    """
    options = jsonschema_rs.RegexOptions()
    try:
        # Compiled alone first: "a)|(b" is no expression, and must not become one between our parentheses.
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
        validator = jsonschema_rs.Draft202012Validator({"pattern": f"^(?:{pattern})$"}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        raise InvalidInput(f"{quote(pattern)} is not a regular expression that Prometheus takes (RE2)") from None
    return validator.is_valid


def _value(text: str) -> str | None:
    if len(text) >= 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        return text[1:-1]
    if text.startswith('"'):
        try:
            value = json.loads(text)
            str(value).encode()  # half a surrogate pair parses and cannot be sent
        except ValueError:
            return None
        return value if isinstance(value, str) else None
    return text if _BARE_VALUE.fullmatch(text) else None
