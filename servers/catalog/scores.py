"""Checks that an operator declares in YAML, and the verdict of one on one entity, with its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from servers.catalog.predicates import Filter, Keys, explain, holds
from servers.catalog.reading import BadYaml, load

CheckId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
Word = Annotated[str, Field(min_length=1, max_length=63)]


class Check(BaseModel):
    """One check. It applies to entities of its kinds, types and ``when`` filters; ``rule`` must hold for them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: CheckId
    name: str = Field(min_length=1, max_length=100)
    description: str = Field(default="", max_length=500)
    kinds: list[Word] = Field(default=["Component"], min_length=1)
    types: list[Word] = Field(default_factory=list, description="Values of spec.type; none means any.")
    when: list[Filter] = Field(default_factory=list)
    rule: Filter

    def applies(self, keys: Keys) -> bool:
        """Say whether the check has anything to say about an entity."""
        if not any(kind.lower() in keys["kind"] for kind in self.kinds):
            return False
        if self.types and not any(kind.lower() in keys.get("spec.type", ()) for kind in self.types):
            return False
        return all(holds(rule, keys) for rule in self.when)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    checks: list[Check] = Field(max_length=200)


class BadChecks(Exception):
    """The file of checks cannot be used; the message says where."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says about an entity."""

    ref: str
    check: Check
    passed: bool
    reason: str


class Judgeable(Protocol):
    """What a check needs of an entity."""

    @property
    def ref(self) -> str: ...

    @property
    def keys(self) -> Keys: ...


def parse_checks(text: str) -> tuple[Check, ...]:
    """Return the checks of a file ``{checks: [...]}``. Raises BadChecks."""
    try:
        found = _File.model_validate(load(text)).checks
    except BadYaml as bad:
        raise BadChecks(f"line {bad.line}: {bad.message}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadChecks(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    ids = [check.id for check in found]
    for check_id in ids:
        if ids.count(check_id) > 1:
            raise BadChecks(f"the check {check_id} stands twice")
    return tuple(found)


def judge(entities: Sequence[Judgeable], checks: Sequence[Check]) -> list[Verdict]:
    """Return the verdict of each check on each entity that it applies to, entity by entity."""
    return [
        Verdict(entity.ref, check, holds(check.rule, entity.keys), explain(check.rule, entity.keys))
        for entity in entities
        for check in checks
        if check.applies(entity.keys)
    ]
