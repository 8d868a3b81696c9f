"""One program's life: read → check when a write is named → run → reply, on the record from its first moment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from portal.audit.audit import Audit, AuditUnavailable
from portal.catalogue.live import LiveCatalogue
from portal.catalogue.records import Tool
from portal.catalogue.snapshot import Catalogue
from portal.gate import Gate, Session
from portal.programs.brief import one_line
from portal.programs.checking import faults
from portal.programs.hints import Sight, hints, of_value
from portal.programs.progress import Progress, reporting
from portal.programs.reply import Reply, failed, refused, succeeded
from portal.programs.revocations import Revocations, Revoked
from portal.programs.source import Source, SourceError, read
from portal.sandbox.contract import Diagnostic, Failure, Limits, Module, Outcome, Sandbox, SandboxUnavailable
from shared_auth.principal import Principal

Allowed = Callable[[Tool], bool]

INLINE_SOURCE_CHARS = 2_000
"""Longer programs are parsed in a thread: parsing 64 KB takes longer than the event loop may be held."""

EXPLAINED = ("TypeError", "AttributeError", "NameError", "KeyError", "ImportError", "ModuleNotFoundError")
"""Python errors that a type check may explain better than the traceback alone."""

_REVOKED = Outcome(
    failure=Failure("cancelled", "Access was revoked while the program ran, so it was ended. Sign in again to go on.")
)


class _NothingRan(Exception):
    """The program cannot run; the text is what the agent reads."""


class Programs:
    """Runs programs for principals. A program that cannot be recorded does not run (docs/decisions/0007)."""

    def __init__(
        self,
        sandbox: Sandbox,
        catalogue: LiveCatalogue,
        gate: Gate,
        audit: Audit,
        revocations: Revocations,
        *,
        limits: Limits,
        reply_chars: int,
        per_principal: int,
    ) -> None:
        self._sandbox = sandbox
        self._catalogue = catalogue
        self._gate = gate
        self._audit = audit
        self._revocations = revocations
        self._limits = limits
        self._reply_chars = reply_chars
        self._per_principal = per_principal
        self._running: Counter[tuple[str, str]] = Counter()

    async def execute(self, principal: Principal, code: str, progress: Progress | None = None) -> Reply:
        """Run ``code`` as ``principal`` and return what the agent reads. Cancelling kills the program.

        Steps: size → parse → admit → record → check (a write is named) → run → record the end → reply. The reply is
        given only after the record is durable.
        """
        started = time.perf_counter()
        catalogue = self._catalogue.current
        try:
            source = await self._read(principal, code, catalogue)
        except _NothingRan as reason:
            return refused(str(reason))
        who = (principal.issuer, principal.subject)
        if self._running[who] >= self._per_principal:
            return refused(f"{self._per_principal} programs of yours are running already; nothing ran. Wait for one.")
        self._running[who] += 1
        try:
            return await self._recorded(principal, source, catalogue, progress, started)
        except AuditUnavailable:
            return refused("The record cannot be written, so programs do not run. Try again; tell an operator.")
        except SandboxUnavailable as error:
            return refused(f"The portal could not run the program: {error}. Try again; nothing is wrong with it.")
        finally:
            self._running[who] -= 1
            if not self._running[who]:
                del self._running[who]

    async def _read(self, principal: Principal, code: str, catalogue: Catalogue) -> Source:
        if len(code.encode("utf-8", "replace")) > self._limits.source_bytes:
            raise _NothingRan(f"The program is longer than {self._limits.source_bytes} bytes. Nothing ran.")
        # Only servers of which this principal may see something: that others exist must not show here either.
        servers = catalogue.servers(self._gate.allowed(principal))
        try:
            if len(code) <= INLINE_SOURCE_CHARS:
                source = read(code, servers)
            else:
                source = await asyncio.to_thread(read, code, servers)
        except SourceError as error:
            raise _NothingRan(f"failed: invalid · nothing ran\n{error.message}{_place(code, error.line)}") from None
        down = _down(source, catalogue)
        if down:
            raise _NothingRan(f"failed: unavailable · nothing ran\n{down}")
        return source

    async def _recorded(
        self,
        principal: Principal,
        source: Source,
        catalogue: Catalogue,
        progress: Progress | None,
        started: float,
    ) -> Reply:
        log = await self._audit.begin(principal, source=source.code)
        try:
            session = self._gate.open(principal, catalogue, log)
            async with self._revocations.watching(principal.grant_id):
                outcome, findings = await self._checked_run(principal, source, catalogue, session, progress)
        except Revoked:
            outcome, findings = _REVOKED, ()
        except BaseException as error:
            # Whatever ended it, the record says so before anybody hears of it.
            end = "cancelled" if isinstance(error, asyncio.CancelledError) else "unavailable"
            with contextlib.suppress(AuditUnavailable):
                await asyncio.shield(log.finish(end))
            raise
        await log.finish(_end(outcome))
        elapsed_ms = (time.perf_counter() - started) * 1000
        if outcome.failure is not None:
            sight = Sight(catalogue, self._gate.allowed(principal), source)
            advice = hints(outcome.failure, findings, sight)
            return failed(outcome, session.calls, elapsed_ms=elapsed_ms, findings=findings, hints=advice)
        reply = partial(
            succeeded,
            outcome,
            session.calls,
            elapsed_ms=elapsed_ms,
            max_chars=self._reply_chars,
            hint=of_value(outcome.value, outcome.printed, source),
        )
        return reply() if _is_small(outcome.value) else await asyncio.to_thread(reply)

    async def _checked_run(
        self,
        principal: Principal,
        source: Source,
        catalogue: Catalogue,
        session: Session,
        progress: Progress | None,
    ) -> tuple[Outcome, Sequence[Diagnostic]]:
        allowed = self._gate.allowed(principal)
        modules = [catalogue.module(server, allowed) for server in sorted(source.servers)]
        wide = partial(_wide, catalogue, allowed, modules)
        if modules and not _reads_only(source, catalogue, allowed):
            findings = await faults(self._sandbox, source.code, modules, wide)
            if findings:
                return Outcome(failure=Failure("invalid", "The type check failed; nothing ran.")), findings
        outcome = await self._run(source, modules, session, progress)
        if not modules or not _explainable(outcome):
            return outcome, ()
        try:
            return outcome, await faults(self._sandbox, source.code, modules, wide)
        except SandboxUnavailable:
            return outcome, ()  # The check would only explain; the program's own failure is known already.

    async def _run(
        self,
        source: Source,
        modules: Sequence[Module],
        session: Session,
        progress: Progress | None,
    ) -> Outcome:
        if progress is None:
            return await self._sandbox.run(source.code, modules, session.call, self._limits, gap=source.gap)
        async with reporting(progress) as report:

            async def call(server: str, function: str, arguments: dict[str, Any]) -> Any:
                with report.call(f"{server}.{function}"):
                    return await session.call(server, function, arguments)

            return await self._sandbox.run(source.code, modules, call, self._limits, report.printed, source.gap)


def _wide(catalogue: Catalogue, allowed: Allowed, modules: Sequence[Module]) -> list[Module]:
    """Return the same modules for a check that refuses only what cannot fit."""
    return [catalogue.module(module.name, allowed, wide=True) for module in modules]


def _down(source: Source, catalogue: Catalogue) -> str:
    """Say which of the imported servers have never answered: without their tools no program can use them."""
    states = [state for state in catalogue.states if state.name in source.servers and state.state == "down"]
    return "\n".join(
        f"The server {state.name} is down ({state.detail or 'its tools are not known'}). "
        "Try again later, or leave it out."
        for state in states
    )


def _place(code: str, line: int | None) -> str:
    """Return where a syntax error is, with the line itself."""
    lines = code.split("\n")
    if line is None or not 1 <= line <= len(lines):
        return ""
    return f" (line {line})\n    {one_line(lines[line - 1].strip(), 120)}"


def _end(outcome: Outcome) -> str:
    if outcome.failure is None:
        return "ok"
    return "revoked" if outcome is _REVOKED else outcome.failure.kind


def _reads_only(source: Source, catalogue: Catalogue, allowed: Allowed) -> bool:
    """Say whether every tool that the program can reach is known to be a read (DESIGN: then it need not be checked)."""
    if source.unresolved:
        return False
    for server, name in source.tools:
        tool = catalogue.find(server, name)
        if tool is None or tool.effect != "read" or not allowed(tool):
            return False
    return True


def _explainable(outcome: Outcome) -> bool:
    failure = outcome.failure
    if failure is None or failure.kind not in {"raised", "invalid"}:
        return False
    return any(name in failure.message or name in failure.traceback for name in EXPLAINED)


def _is_small(value: Any) -> bool:
    """Say whether rendering the value cannot take long: a scalar, or a short text or list of scalars."""
    if isinstance(value, str):
        return len(value) < 10_000
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return len(value) < 50 and all(not isinstance(v, dict | list) and _is_small(v) for v in value)
    return True
