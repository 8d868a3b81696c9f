"""Checks and their verdicts as the tools take and show them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers.catalog.models import CheckResult
from servers.catalog.scores import Verdict

CheckName = Annotated[str, Field(min_length=1, max_length=63, description="A check id.")]


def result(verdict: Verdict) -> CheckResult:
    """Return a verdict as the tools show it."""
    return CheckResult(
        ref=verdict.ref, check=verdict.check.id, name=verdict.check.name, passed=verdict.passed, reason=verdict.reason
    )
