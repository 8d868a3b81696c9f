"""Says why arguments do not fit a schema: which parameter, what was expected, what it may have meant.

Explaining costs more than judging: the validator visits every way to fail, and a schema that refers to itself can have
more of them than there is time. So it is done only when the schema and the arguments promise a small number of steps.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from portal.catalogue.records import Tool
from portal.catalogue.schema import too_deep
from portal.gate.steps import MAX_DEPTH
from portal.sandbox.contract import Json

MAX_EXPLAINED_BYTES = 4_096
MAX_ERRORS = 3
MAX_OPTIONS = 12
MAX_SHOWN_CHARS = 60

_Kind = jsonschema_rs.ValidationErrorKind
_BOUNDS: Mapping[type[Any], str] = {
    _Kind.Minimum: "be at least {0}",
    _Kind.Maximum: "be at most {0}",
    _Kind.ExclusiveMinimum: "be more than {0}",
    _Kind.ExclusiveMaximum: "be less than {0}",
    _Kind.MultipleOf: "be a multiple of {0}",
    _Kind.MinLength: "have at least {0} characters",
    _Kind.MaxLength: "have at most {0} characters",
    _Kind.MinItems: "have at least {0} items",
    _Kind.MaxItems: "have at most {0} items",
    _Kind.MinProperties: "have at least {0} keys",
    _Kind.MaxProperties: "have at most {0} keys",
    _Kind.Pattern: "match the pattern {0}",
    _Kind.Format: "be of the format {0}",
    _Kind.Constant: "be {0}",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """``missing``: a parameter is missing."""

    faults: str
    missing: bool


def explain(
    tool: Tool, validator: jsonschema_rs.Validator, arguments: Mapping[str, Json], size_bytes: int
) -> Explanation | None:
    """Return why ``arguments`` (upstream names, ``size_bytes`` of JSON, judged invalid) do not fit; None when they are
    too large to say. The schema must have few steps (portal.gate.steps).
    """
    if size_bytes > MAX_EXPLAINED_BYTES or too_deep(arguments, MAX_DEPTH):
        return None
    python_names = {upstream: name for name, upstream in tool.parameters.items()}
    errors = list(islice(validator.iter_errors(arguments), MAX_ERRORS))
    missing = any(isinstance(error.kind, _Kind.Required) and not error.instance_path for error in errors)
    return Explanation("; ".join(dict.fromkeys(_fault(error, python_names) for error in errors)), missing)


def _fault(error: jsonschema_rs.ValidationError, names: Mapping[str, str]) -> str:
    kind, value = error.kind, error.instance
    where = _where(error.instance_path, names)
    match kind:
        case _Kind.Required():
            return f"{_where([*error.instance_path, kind.property], names)} is missing"
        case _Kind.AdditionalProperties() | _Kind.UnevaluatedProperties():
            return f"{where} has no key {_show(kind.unexpected[0])}"
        case _Kind.FalseSchema():
            return f"{where} does not accept {_show(value)}"
        case _Kind.Type():
            expected, hint = f"must be {' or '.join(kind.types)}", " (leave it out instead)" if value is None else ""
        case _Kind.Enum():
            expected, hint = f"must be one of {_options(kind.options)}", _meant(value, kind.options)
        case _Kind.AnyOf() | _Kind.OneOfNotValid():
            expected, hint = _alternatives(kind.context, error.instance_path, value)
        case _:
            expected, hint = _bound(kind), ""
    return f"{where} {expected}, got {_show(value)}{hint}"


def _bound(kind: jsonschema_rs.ValidationErrorKind) -> str:
    for known, text in _BOUNDS.items():
        if isinstance(kind, known):
            return f"must {text.format(_show(getattr(kind, known.__match_args__[0])))}"
    return f"does not fit {_show(kind.name)} of the schema"


def _where(path: Sequence[str | int], names: Mapping[str, str]) -> str:
    """Return a path as the program would write it."""
    if not path:
        return "the call"
    first = str(path[0])
    text = names[first] if first in names else _show(first)
    for part in path[1:4]:
        text += f"[{_show(part)}]"
    return text + ("…" if len(path) > 4 else "")


def _alternatives(
    context: Sequence[Sequence[jsonschema_rs.ValidationError]], path: Sequence[str | int], value: Any
) -> tuple[str, str]:
    """Return what is expected where any of several forms would do, and what the value may have meant."""
    types = _types(context, path)
    if types:
        return f"must be {' or '.join(types)}", ""
    options = _choices(context, path)
    if options:
        return f"must be one of {_options(options)}", _meant(value, options)
    return "fits none of its forms", ""


def _choices(context: Sequence[Sequence[jsonschema_rs.ValidationError]], path: Sequence[str | int]) -> list[Any]:
    """Return the values that alternatives ask for, when all that they ask for is one of some values or null."""
    options: list[Any] = []
    for branch in context:
        for error in branch[:1]:
            kind = error.kind
            if list(error.instance_path) != list(path):
                return []
            if isinstance(kind, _Kind.Enum):
                options += kind.options
            elif isinstance(kind, _Kind.Constant):
                options.append(kind.expected_value)
            elif isinstance(kind, _Kind.Type) and kind.types == ["null"]:
                options.append(None)
            else:
                return []
    return options


def _types(context: Sequence[Sequence[jsonschema_rs.ValidationError]], path: Sequence[str | int]) -> list[str]:
    """Return the types that alternatives ask for, when that is all that they ask for."""
    types: list[str] = []
    for branch in context:
        for error in branch[:1]:
            if not isinstance(error.kind, _Kind.Type) or list(error.instance_path) != list(path):
                return []
            types += error.kind.types
    return list(dict.fromkeys(types))


def _meant(value: Any, options: Sequence[Any]) -> str:
    if not isinstance(value, str):
        return ""
    texts = [option for option in options[:200] if isinstance(option, str)]
    close = difflib.get_close_matches(value[:MAX_SHOWN_CHARS], texts, n=1)
    return f"; did you mean {_show(close[0])}?" if close else ""


def _options(options: Sequence[Any]) -> str:
    return ", ".join(map(_show, options[:MAX_OPTIONS])) + (", …" if len(options) > MAX_OPTIONS else "")


def _show(value: Any) -> str:
    """Return a value as short JSON: quoted, for it is a program's or an upstream's and not ours."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"
