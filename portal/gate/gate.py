"""The gate of this portal process: what policy lets a principal see, and a session for each of its programs.

Budgets that hold over many programs are kept in memory, for this replica alone: with N replicas a person has up to N
times the calls per minute, and an upstream up to N times the calls in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from portal.audit.audit import ProgramLog
from portal.catalogue.records import Tool
from portal.gate.arguments import Arguments
from portal.gate.budget import CallsPerMinute
from portal.gate.session import Caller, Rules, Session, ToolFinder
from portal.gate.turnstile import Turnstiles
from portal.policy.engine import Policy
from portal.sandbox.contract import Json
from portal.sections import BudgetSection
from shared_auth.principal import Principal


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which tools a principal may see: exactly those that it may call. Equal for equal principals under one policy, so
    that what was judged once need not be judged again.
    """

    policy: Policy
    principal: Principal

    def __call__(self, tool: Tool) -> bool:
        return self.policy.decide(self.principal, tool).allowed


class Gate:
    """Judges every call of every program."""

    def __init__(
        self,
        policy: Policy,
        upstreams: Caller,
        budget: BudgetSection,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._rules = Rules(
            policy=policy,
            upstreams=upstreams,
            budget=budget,
            arguments=Arguments(),
            per_minute=CallsPerMinute(budget.calls_per_minute, clock),
            turnstiles=Turnstiles(budget.upstream_concurrency),
        )

    def allowed(self, principal: Principal) -> Callable[[Tool], bool]:
        """Return which tools ``principal`` may see: exactly those that it may call."""
        return Allowed(self._policy, principal)

    def open(
        self,
        principal: Principal,
        catalogue: ToolFinder,
        log: ProgramLog,
        before: Mapping[str, Json] | None = None,
    ) -> Session:
        """Return the session of one program, whose ``call`` is the sandbox's Dispatch; ``before`` of a paused one."""
        return Session(self._rules, principal, catalogue, log, before)
