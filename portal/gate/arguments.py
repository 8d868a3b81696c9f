"""Judges the arguments of a call against the tool's own schema, before anything is sent or recorded.

One validator is compiled for each tool, with patterns that match in linear time and without fetching anything: neither
an upstream's schema nor a program's arguments can make the judgement slow.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import jsonschema_rs

from portal.catalogue.records import Tool
from portal.gate.explain import explain
from portal.gate.steps import few_steps
from portal.sandbox.contract import CallFailed, Json

MAX_JUDGES = 8_192
MAX_LISTED = 30
MAX_NAME_CHARS = 60

_PATTERNS = jsonschema_rs.RegexOptions()


@dataclass(frozen=True, slots=True)
class Checked:
    """Arguments as the upstream names them, with the digest and the size of their canonical JSON."""

    values: dict[str, Json]
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class _Judge:
    """A compiled schema. ``explainable`` is worked out when arguments first do not fit."""

    tool: Tool
    validator: jsonschema_rs.Validator
    explainable: bool | None = None


class Arguments:
    """Judges arguments for every tool."""

    def __init__(self) -> None:
        self._judges: OrderedDict[tuple[str, str], _Judge] = OrderedDict()

    def check(self, tool: Tool, arguments: Mapping[str, Json]) -> Checked:
        """Return the arguments under the upstream's names. Raises CallFailed that says what to change."""
        for name in arguments:
            if name not in tool.parameters:
                raise CallFailed(_no_parameter(tool, str(name)), "TypeError")
        values = {tool.parameters[name]: value for name, value in arguments.items()}
        judge = self._judge(tool)
        try:
            text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
            canonical = text.encode("utf-8", "surrogatepass")
            # is_valid alone remembers what it has judged: it stays fast where explaining would take for ever.
            valid = judge.validator.is_valid(values)
        except (ValueError, TypeError, RecursionError):
            # NaN, or no JSON at all. The sandbox hands out JSON alone; this is the second lock.
            raise CallFailed(f"{tool.qualified}: the arguments must be JSON, without NaN", "ValueError") from None
        if not valid:
            raise self._misfit(judge, values, len(canonical))
        return Checked(values, hashlib.sha256(canonical).hexdigest(), len(canonical))

    def _misfit(self, judge: _Judge, values: Mapping[str, Json], size_bytes: int) -> CallFailed:
        tool = judge.tool
        if judge.explainable is None:
            judge.explainable = few_steps(tool.input_schema)
        found = explain(tool, judge.validator, values, size_bytes) if judge.explainable else None
        if found is None:
            return CallFailed(
                f"{tool.qualified}: the arguments do not fit its schema; search for {tool.qualified} shows it",
                "ValueError",
            )
        return CallFailed(f"{tool.qualified}: {found.faults}", "TypeError" if found.missing else "ValueError")

    def _judge(self, tool: Tool) -> _Judge:
        """Return the compiled schema. A catalogue that was gathered again holds new records of the same tools."""
        key = (tool.server, tool.name)
        judge = self._judges.get(key)
        if judge is not None and judge.tool is not tool and judge.tool.input_schema == tool.input_schema:
            judge.tool = tool
        if judge is None or judge.tool is not tool:
            judge = self._judges[key] = _Judge(tool, _compile(tool))
        self._judges.move_to_end(key)
        while len(self._judges) > MAX_JUDGES:
            self._judges.popitem(last=False)
        return judge


def _compile(tool: Tool) -> jsonschema_rs.Validator:
    try:
        return jsonschema_rs.validator_for(dict(tool.input_schema), pattern_options=_PATTERNS, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError):
        raise CallFailed(f"{tool.qualified} cannot be called: its server describes it wrongly") from None


def _no_parameter(tool: Tool, name: str) -> str:
    close = difflib.get_close_matches(name[:MAX_NAME_CHARS], tool.parameters, n=1)
    meant = f"; did you mean {close[0]}?" if close else "."
    names = list(tool.parameters)
    listed = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
    given = json.dumps(name[:MAX_NAME_CHARS])
    return f"{tool.qualified} has no parameter {given}{meant} It takes {listed or 'no arguments'}"
