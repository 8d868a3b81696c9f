"""An upstream's listing as tool records. Everything in a listing is believed only as far as it cannot harm.

One bad tool is left out with its reason and never disturbs the others. Only a collision of names is an error: which of
two tools a program would reach must never depend on the order of a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mcp_types as t

from portal.catalogue import clean, schema
from portal.catalogue.naming import NameCollision, mapped, tool_name
from portal.catalogue.pacing import unhurried
from portal.catalogue.parameters import parameters
from portal.catalogue.records import Effect, Tool

EFFECT_META = "mcp-portal/effect"
SCOPE_META = "mcp-portal/scope"
MAX_NAME_CHARS = 128
MAX_DESCRIPTION_CHARS = 4_000
MAX_TITLE_CHARS = 200
MAX_PARAMETERS = 200

_SEVERITY: dict[Effect, int] = {"read": 0, "write": 1, "destructive": 2}
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 section 3.3
_NAME = re.compile(r"[\x21-\x7e]+")


class CatalogueConflict(Exception):
    """Two names of one upstream become the same Python name. The message names both; the upstream must rename one."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A tool that was left out, and why. ``name`` is cleaned and capped."""

    name: str
    reason: str


def gather(server: str, listed: Sequence[t.Tool]) -> tuple[list[Tool], list[Reject]]:
    """Return (records in name order, tools left out). Raises CatalogueConflict when two names become one."""
    tools: dict[str, Tool] = {}
    rejects: list[Reject] = []
    for definition in unhurried(listed):
        made = _record(server, definition)
        if isinstance(made, Reject):
            rejects.append(made)
            continue
        other = tools.setdefault(made.python_name, made)
        # A listing that changes between two pages may repeat a tool; only two different definitions collide.
        if other.name != made.name or other != made:
            raise CatalogueConflict(
                f"upstream {server}: tools {other.name!r} and {made.name!r} would both be written "
                f"{server}.{made.python_name}; one of them must be renamed"
            )
    return sorted(tools.values(), key=lambda tool: tool.python_name), rejects


def effect_of(definition: t.Tool) -> Effect:
    """Return what a tool says it does, read with suspicion: without annotations it is destructive, and the
    ``mcp-portal/effect`` of ``_meta`` can only make it worse. Policy and pins decide what that allows.
    """
    hints = definition.annotations
    effect: Effect = "destructive"
    if hints is not None and hints.read_only_hint is True:
        effect = "read"
    elif hints is not None and hints.destructive_hint is False:
        effect = "write"
    declared = (definition.meta or {}).get(EFFECT_META)
    if not isinstance(declared, str) or declared not in _SEVERITY:
        return effect
    return max(effect, declared, key=_SEVERITY.__getitem__)


def _record(server: str, definition: t.Tool) -> Tool | Reject:
    name = definition.name
    if not name or len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        return _reject(name, f"the name must be 1 to {MAX_NAME_CHARS} printable ASCII characters without spaces")
    inputs, problem = _input_schema(definition.input_schema)
    if problem:
        return _reject(name, f"input: {problem}")
    found = parameters(inputs)
    if len(found) > MAX_PARAMETERS:
        return _reject(name, f"more than {MAX_PARAMETERS} parameters")
    try:
        python_parameters = mapped((p.name for p in found), f"upstream {server}: parameters of {name}")
    except NameCollision as collision:
        raise CatalogueConflict(str(collision)) from None
    scope = (definition.meta or {}).get(SCOPE_META)
    return Tool(
        server=server,
        name=name,
        python_name=tool_name(name),
        description=clean.block(definition.description, MAX_DESCRIPTION_CHARS),
        effect=effect_of(definition),
        input_schema=inputs,
        output_schema=_output_schema(definition.output_schema),
        parameters=python_parameters,
        scope=scope if isinstance(scope, str) and _SCOPE.fullmatch(scope) else "",
        title=clean.line(definition.title, MAX_TITLE_CHARS),
    )


def _input_schema(given: Any) -> tuple[dict[str, Any], str]:
    problem = schema.fault(given)
    if problem:
        return {}, problem
    inputs: dict[str, Any] = given
    if inputs.get("type", "object") != "object":
        return {}, "arguments must be an object"
    if not schema.compiles(inputs):
        inputs = schema.repaired(inputs)
        if not schema.compiles(inputs):
            return {}, "the schema is not valid JSON Schema"
    return inputs, ""


def _output_schema(given: Any) -> Mapping[str, Any] | None:
    """Return the output schema when it can be used. It only types the answer, so that a bad one costs no tool."""
    if given is None or schema.fault(given) or not schema.compiles(schema.repaired(given)):
        return None
    found: dict[str, Any] = given
    return found


def _reject(name: object, reason: str) -> Reject:
    return Reject(json.dumps(clean.line(name, 100), ensure_ascii=False), reason)
