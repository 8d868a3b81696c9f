"""Filters as callers and checks write them: typed, without regular expressions, evaluated in linear time.

They are the predicates of Backstage's by-query endpoint in a form with one shape: a test of one field, or a group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from servers.catalog.scalars import as_text

Keys = Mapping[str, Collection[str]]
Text = Annotated[str, Field(max_length=300)]

MAX_GROUP = 30


class Filter(BaseModel):
    """A test of one field (`field` with one of equals, one_of, exists, prefix, matches), or a group of filters."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    field: str | None = Field(
        default=None, min_length=1, max_length=300, description="Dotted path, such as spec.type or metadata.tags."
    )
    equals: str | int | float | bool | None = Field(default=None, description="Compared without case.")
    one_of: list[Text] | None = Field(default=None, min_length=1, max_length=100)
    exists: bool | None = None
    prefix: str | None = Field(default=None, min_length=1, max_length=300)
    matches: str | None = Field(
        default=None, min_length=1, max_length=300, description="Whole value, `*` for any text."
    )
    all_of: list[Filter] | None = Field(default=None, max_length=MAX_GROUP)
    any_of: list[Filter] | None = Field(default=None, max_length=MAX_GROUP)
    none_of: list[Filter] | None = Field(default=None, max_length=MAX_GROUP)

    @model_validator(mode="after")
    def _one_thing(self) -> Filter:
        groups = sum(group is not None for group in (self.all_of, self.any_of, self.none_of))
        tests = sum(t is not None for t in (self.equals, self.one_of, self.exists, self.prefix, self.matches))
        if (self.field is not None and (tests, groups) == (1, 0)) or (self.field is None and (tests, groups) == (0, 1)):
            return self
        raise ValueError("give a field with one test (equals, one_of, exists, prefix, matches), or one group")


def field_is(field: str, *values: str) -> Filter:
    """Return the filter that a field has one of these values."""
    return Filter(field=field, one_of=list(values))


def holds(rule: Filter, keys: Keys) -> bool:
    """Say whether a filter holds for an entity, given as its keys."""
    if rule.field is not None:
        return _test(rule, keys.get(rule.field.lower()))
    if rule.all_of is not None:
        return all(holds(inner, keys) for inner in rule.all_of)
    if rule.any_of is not None:
        return any(holds(inner, keys) for inner in rule.any_of)
    return not any(holds(inner, keys) for inner in rule.none_of or [])


def explain(rule: Filter, keys: Keys) -> str:
    """Return why a filter holds or does not, in words."""
    if rule.field is not None:
        return _explain_test(rule, keys.get(rule.field.lower()))
    if rule.all_of is not None:
        broken = [inner for inner in rule.all_of if not holds(inner, keys)]
        return "; ".join(explain(inner, keys) for inner in broken or rule.all_of)
    if rule.any_of is not None:
        held = [inner for inner in rule.any_of if holds(inner, keys)]
        return " and ".join(explain(inner, keys) for inner in held[:1] or rule.any_of)
    held = [inner for inner in rule.none_of or [] if holds(inner, keys)]
    return "; ".join(explain(inner, keys) for inner in held or rule.none_of or [])


def _test(rule: Filter, values: Collection[str] | None) -> bool:
    if rule.exists is not None:
        return (values is not None) == rule.exists
    if not values:
        return False
    if rule.prefix is not None:
        prefix = rule.prefix.lower()
        return any(value.startswith(prefix) for value in values)
    if rule.matches is not None:
        pieces = rule.matches.lower().split("*")
        return any(_fits(value, pieces) for value in values)
    return any(value in values for value in _wanted(rule))


def _wanted(rule: Filter) -> list[str]:
    if rule.one_of is not None:
        return [value.lower() for value in rule.one_of]
    return [(as_text(rule.equals) or "").lower()]


def _fits(value: str, pieces: list[str]) -> bool:
    """Match text between wildcards by finding each piece after the one before: no backtracking, so linear time."""
    head, *rest = pieces
    if not rest:
        return value == head
    *middle, tail = rest
    if not value.startswith(head) or len(value) < len(head) + len(tail) or not value.endswith(tail):
        return False
    at, end = len(head), len(value) - len(tail)
    for piece in middle:
        found = value.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _explain_test(rule: Filter, values: Collection[str] | None) -> str:
    if values is None:
        return f"{rule.field} is not there"
    if rule.exists is not None:
        return f"{rule.field} is there"
    shown = ", ".join(sorted(values)[:3])
    if _test(rule, values):
        return f"{rule.field} is {shown}"
    if rule.prefix is not None:
        return f"{rule.field} is {shown or 'empty'}, which does not begin with {rule.prefix}"
    if rule.matches is not None:
        return f"{rule.field} is {shown or 'empty'}, which does not match {rule.matches}"
    return f"{rule.field} is {shown or 'empty'}, not {' or '.join(_wanted(rule)[:10])}"
