"""One program's calls. Each passes the same steps in the same order, and a step that says no ends it:

    the person's calls of this minute → is there such a tool for this principal (policy) → do its arguments fit
    → has a person agreed, if policy asks → has the program writes left → on the record (a write: on disk)
    → its turn at the upstream → sent → end recorded

A call that waits for a person is judged again from the beginning when it goes on: what was allowed may not be any more.
A refusal is on the record too. A tool that is forbidden and one that does not exist get the same answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import structlog
from pydantic_core import to_json

from portal.audit.audit import AuditUnavailable, CallEntry, ProgramLog
from portal.catalogue.records import Tool
from portal.gate import failures
from portal.gate.arguments import Arguments, Checked
from portal.gate.budget import CallsPerMinute
from portal.gate.turnstile import Turnstiles
from portal.policy.engine import Decision, Policy
from portal.sandbox.contract import CallFailed, CallPaused, Json, PendingCall
from portal.sections import BudgetSection
from portal.upstream.failures import UpstreamFailure
from shared_auth.principal import CLIENT_SUBJECT, Principal

log = structlog.get_logger(__name__)

WAITED = frozenset({"asked", "connect", "scope"})
"""Outcomes of calls that were not made, because a person had to act first."""

_UNKNOWN = Decision(allowed=False, policy_ids=(), reason="there is no such tool")


class Caller(Protocol):
    """Whoever carries calls to upstreams. Raises UpstreamFailure."""

    async def call(
        self, server: str, tool: str, arguments: dict[str, Any], principal: Principal, timeout_s: float
    ) -> Any: ...


class ToolFinder(Protocol):
    """The catalogue as the gate sees it."""

    def find(self, server: str, python_name: str) -> Tool | None: ...

    def similar(
        self, name: str, *, server: str | None = ..., allowed: Callable[[Tool], bool] = ...
    ) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What every session is judged by."""

    policy: Policy
    upstreams: Caller
    budget: BudgetSection
    arguments: Arguments
    per_minute: CallsPerMinute
    turnstiles: Turnstiles


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as the reply lists it. ``outcome`` is ``ok``, ``running``, ``cancelled``, the kind of an
    UpstreamFailure, ``error`` (our fault), or why it was not sent: ``unknown``, ``invalid``, ``over budget``,
    ``unrecorded``, ``not sent`` (its upstream is down or has no place free), ``asked`` (a person first), ``refused``.
    """

    tool: str
    outcome: str
    elapsed_ms: float
    effect: str = "read"


class Session:
    """The calls of one program. ``call`` is the sandbox's Dispatch and may run many times at once.

    ``before`` is what ``state`` returned when the program was paused: it goes on being counted.
    """

    def __init__(
        self,
        rules: Rules,
        principal: Principal,
        catalogue: ToolFinder,
        log: ProgramLog,
        before: Mapping[str, Json] | None = None,
    ) -> None:
        self._rules = rules
        self._principal = principal
        self._person = (principal.issuer, principal.subject)
        self._catalogue = catalogue
        self._log = log
        self._calls: list[CallRecord] = []
        self._writes = 0
        self._overran = False
        if before is not None:
            self._calls = [CallRecord(*call) for call in before["calls"]]
            self._writes = before["writes"]

    @property
    def calls(self) -> list[CallRecord]:
        """The calls so far, in the order in which they began."""
        return list(self._calls)

    @property
    def state(self) -> dict[str, Json]:
        """What goes on being counted when the program is paused, in JSON."""
        return {
            "calls": [[call.tool, call.outcome, call.elapsed_ms] for call in self._calls],
            "writes": self._writes,
        }

    def go_on(self, principal: Principal, catalogue: ToolFinder, log: ProgramLog) -> None:
        """Judge what comes now as ``principal``, with the tools of ``catalogue``, and note it in ``log``."""
        self._principal = principal
        self._catalogue = catalogue
        self._log = log

    async def call(self, server: str, function: str, arguments: dict[str, Json]) -> Json:
        """Judge one call, record it and make it. Raises CallFailed, CallRevoked when the program must end, or
        CallPaused when a person must act first: ``need`` is ``{"kind": "ask", "reasons": […], "effect": …}`` or
        ``{"kind": "connect"}`` or ``{"kind": "scope", "scopes": […]}``, these with the effect as ``"agreed"`` when the
        person has agreed to the call already.
        """
        return await self._judge(server, function, arguments, agreed="")

    async def again(self, call: PendingCall, *, agreed: bool | None) -> Json:
        """Judge and make a call that was paused: ``agreed`` is what its person has decided, None when not asked.

        Raises what ``call`` raises.
        """
        self._forget(f"{call.module}.{call.function}")
        if call.need["kind"] == "ask" and not agreed:
            await self._note(
                call.module, call.function, "", "refused", (), outcome="refused", names=list(call.arguments)
            )
            raise failures.not_agreed(f"{call.module}.{call.function}")
        already = call.need["effect"] if call.need["kind"] == "ask" else call.need["agreed"]
        return await self._judge(call.module, call.function, call.arguments, agreed=already)

    def _forget(self, tool: str) -> None:
        """Drop the line that says that the call waits: what becomes of it now is a line of its own."""
        for place, call in enumerate(self._calls):
            if call.tool == tool and call.outcome in WAITED:
                del self._calls[place]
                return

    async def _judge(self, server: str, function: str, arguments: dict[str, Json], *, agreed: str) -> Json:
        """``agreed`` is the effect of the call that its person has said yes to, "" for none."""
        await self._take_from_minute(server, function)
        tool, decision = await self._visible(server, function, arguments)
        checked = await self._fitting(tool, decision, arguments)
        # A tool that does something else to the world by now is not what the person saw.
        if decision.asks and agreed != tool.effect:
            await self._ask(tool, decision, checked)
        await self._take_write(tool, decision, checked)
        return await self._send(tool, decision, checked, agreed=agreed)

    async def _ask(self, tool: Tool, decision: Decision, checked: Checked) -> NoReturn:
        robot = self._principal.subject.startswith(CLIENT_SUBJECT)
        await self._note(
            tool.server,
            tool.python_name,
            tool.effect,
            "ask",
            decision.policy_ids,
            outcome="refused" if robot else "asked",
            names=list(checked.values),
            checked=checked,
        )
        if robot:
            raise failures.needs_a_person(tool)
        raise CallPaused({"kind": "ask", "reasons": list(decision.asks), "effect": tool.effect})

    async def _take_from_minute(self, server: str, function: str) -> None:
        wait_s = self._rules.per_minute.take(self._person)
        if wait_s:
            # Once for a program: what is over budget must not fill the record either.
            if not self._overran:
                self._overran = True
                await self._note(server, function, "", "budget", (), outcome="over budget")
            raise failures.too_many_calls(wait_s)

    async def _visible(self, server: str, function: str, arguments: Mapping[str, Json]) -> tuple[Tool, Decision]:
        tool = self._catalogue.find(server, function)
        decision = self._rules.policy.decide(self._principal, tool) if tool is not None else _UNKNOWN
        if tool is not None and decision.allowed:
            return tool, decision
        await self._note(
            server,
            function,
            tool.effect if tool else "",
            "deny" if tool else "unknown",
            decision.policy_ids,
            outcome="unknown",
            names=list(arguments),
        )
        similar = self._catalogue.similar(
            f"{server}.{function}"[: failures.MAX_NAME_CHARS],
            allowed=lambda known: self._rules.policy.decide(self._principal, known).allowed,
        )
        raise failures.unknown(server, function, similar)

    async def _fitting(self, tool: Tool, decision: Decision, arguments: Mapping[str, Json]) -> Checked:
        try:
            return self._rules.arguments.check(tool, arguments)
        except CallFailed:
            await self._note(
                tool.server,
                tool.python_name,
                tool.effect,
                "invalid",
                decision.policy_ids,
                outcome="invalid",
                names=[name for name in arguments if name in tool.parameters],
            )
            raise

    async def _take_write(self, tool: Tool, decision: Decision, checked: Checked) -> None:
        if tool.effect == "read":
            return
        limit = self._rules.budget.writes_per_program
        if self._writes >= limit:
            await self._note(
                tool.server,
                tool.python_name,
                tool.effect,
                "budget",
                decision.policy_ids,
                outcome="over budget",
                names=list(checked.values),
            )
            raise failures.too_many_writes(limit)
        self._writes += 1

    async def _send(self, tool: Tool, decision: Decision, checked: Checked, *, agreed: str) -> Json:
        place = len(self._calls)
        self._calls.append(CallRecord(tool.qualified, "running", 0.0, tool.effect))
        started_s = time.perf_counter()
        entry: CallEntry | None = None
        outcome, size_bytes = "cancelled", None
        try:
            try:
                entry = await self._record(tool, decision, checked, "agreed" if agreed else "allow")
                if tool.effect != "read":
                    await entry.durable()
            except AuditUnavailable:
                outcome = "unrecorded"
                raise failures.unrecorded() from None
            value = await self._answer(tool, checked.values)
            outcome, size_bytes = "ok", _size(value)
            return value
        except UpstreamFailure as failure:
            outcome = failure.kind if failure.sent else "not sent"
            if failure.kind in {"connect", "scope"} and not self._principal.subject.startswith(CLIENT_SUBJECT):
                # The vendor was not asked, or changed nothing: it may be made again, and has cost no write.
                self._writes -= tool.effect != "read"
                need: dict[str, Json] = {"kind": failure.kind, "agreed": agreed}
                raise CallPaused(need | ({"scopes": list(failure.scopes)} if failure.scopes else {})) from None
            raise failures.of_upstream(tool, failure) from None
        except TimeoutError:
            outcome = "timeout"
            raise failures.timed_out(tool, self._rules.budget.call_timeout_s) from None
        except Exception as error:  # noqa: BLE001 - the boundary to the transports: what they let through is ours
            # Its text may hold anything, a secret too: the type alone is logged.
            outcome = "error"
            log.error("gate.call_broke", tool=tool.qualified, error=type(error).__name__)  # noqa: TRY400
            raise failures.broken(tool) from None
        finally:
            elapsed_ms = (time.perf_counter() - started_s) * 1e3
            self._calls[place] = CallRecord(tool.qualified, outcome, elapsed_ms, tool.effect)
            if entry is not None:
                # A record that is lost is refused when the program's end is written; nothing may hide a cancellation.
                with contextlib.suppress(AuditUnavailable):
                    entry.finish(outcome, size_bytes, elapsed_ms)

    async def _record(self, tool: Tool, decision: Decision, checked: Checked, judged: str) -> CallEntry:
        return await self._log.call(
            tool.server,
            tool.python_name,
            tool.effect,
            judged,
            decision.policy_ids,
            argument_names=list(checked.values),
            arguments_sha256=checked.sha256,
            argument_bytes=checked.size_bytes,
        )

    async def _answer(self, tool: Tool, arguments: dict[str, Json]) -> Json:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._rules.budget.call_timeout_s
        turnstile = self._rules.turnstiles.of(tool.server)
        entered = False
        try:
            async with asyncio.timeout_at(deadline_s):
                await turnstile.enter(self._person)
                entered = True
                try:
                    left_s = max(deadline_s - loop.time(), 0.0)
                    return await self._rules.upstreams.call(tool.server, tool.name, arguments, self._principal, left_s)
                finally:
                    turnstile.leave()
        except TimeoutError:
            if entered:
                raise
            raise failures.not_its_turn(tool, self._rules.budget.call_timeout_s) from None

    async def _note(
        self,
        server: str,
        function: str,
        effect: str,
        decision: str,
        policy_ids: Sequence[str],
        *,
        outcome: str,
        names: Sequence[str] = (),
        checked: Checked | None = None,
    ) -> None:
        """Record a call that is not made."""
        self._calls.append(CallRecord(f"{server}.{function}"[: failures.MAX_NAME_CHARS], outcome, 0.0, effect))
        try:
            await self._log.call(
                server,
                function,
                effect,
                decision,
                policy_ids,
                argument_names=names,
                arguments_sha256="" if checked is None else checked.sha256,
                argument_bytes=0 if checked is None else checked.size_bytes,
                outcome=outcome,
            )
        except AuditUnavailable:
            raise failures.unrecorded() from None


def _size(value: Json) -> int | None:
    """Return how many bytes of JSON a result is; None for one that is no JSON, which the sandbox refuses."""
    try:
        return len(to_json(value))
    except (ValueError, TypeError, RecursionError):
        return None
