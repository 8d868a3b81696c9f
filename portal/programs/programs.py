"""One program's life: read → check when a write is named → run (→ pause → go on) → reply, on the record from its first
moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from portal.audit.audit import Audit, AuditUnavailable, ProgramLog
from portal.catalogue.live import LiveCatalogue
from portal.catalogue.records import Tool
from portal.catalogue.snapshot import Catalogue
from portal.gate import Gate, Session
from portal.programs.brief import one_line
from portal.programs.checking import faults
from portal.programs.going import Going
from portal.programs.handles import Results
from portal.programs.hints import Sight, hints, of_value
from portal.programs.keeping import Keeping
from portal.programs.notice import Answer
from portal.programs.pauses import Paused, Pauses
from portal.programs.presenting import Shown, present
from portal.programs.progress import Progress, reporting
from portal.programs.reply import Reply, failed, refused, succeeded
from portal.programs.revocations import Revocations, Revoked
from portal.programs.source import Source, SourceError, read
from portal.programs.waiting import UNKNOWN, UNREADABLE, Waiting
from portal.sandbox.contract import (
    Diagnostic,
    Dispatch,
    Failure,
    Json,
    Limits,
    Module,
    Outcome,
    PendingCall,
    Printed,
    Sandbox,
    SandboxUnavailable,
)
from shared_auth.principal import Principal
from shared_auth.sealing import Unsealable

Allowed = Callable[[Tool], bool]

INLINE_SOURCE_CHARS = 2_000
"""Longer programs are parsed in a thread: parsing 64 KB takes longer than the event loop may be held."""

EXPLAINED = ("TypeError", "AttributeError", "NameError", "KeyError", "ImportError", "ModuleNotFoundError")
"""Python errors that a type check may explain better than the traceback alone."""

_UNREAD = Source("", frozenset(), frozenset(), unresolved=False)
_REVOKED = Outcome(
    failure=Failure("cancelled", "Access was revoked while the program ran, so it was ended. Sign in again to go on.")
)


RESUME_WAIT_S = 25.0
"""How long an agent that goes on with a program is kept waiting for its person. Clients give up after a minute."""


async def _nothing_to_undo() -> bool:
    return False


async def _broken_off(log: ProgramLog, error: BaseException, undo: Callable[[], Awaitable[bool]]) -> None:
    """Record what ended a program before anybody hears of it, unless ``undo`` says that it is as it was before."""
    if not await undo():
        end = "cancelled" if isinstance(error, asyncio.CancelledError) else "unavailable"
        with contextlib.suppress(AuditUnavailable):
            await log.finish(end)


@dataclass(frozen=True, slots=True)
class _Work:
    """What one program has around it while it runs."""

    principal: Principal
    catalogue: Catalogue
    session: Session
    keeping: Keeping


@dataclass(frozen=True, slots=True)
class _Ran:
    """How a program ended, as far as it was read, and what a type check says of it where that may explain why."""

    outcome: Outcome
    source: Source = _UNREAD
    findings: Sequence[Diagnostic] = ()


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
        results: Results,
        pauses: Pauses,
        *,
        limits: Limits,
        reply_chars: int,
        per_principal: int,
        agree_in_client: bool = False,
        resume_wait_s: float = RESUME_WAIT_S,
    ) -> None:
        self._sandbox = sandbox
        self._catalogue = catalogue
        self._gate = gate
        self._audit = audit
        self._revocations = revocations
        self._results = results
        self._limits = limits
        self._reply_chars = reply_chars
        self._per_principal = per_principal
        self._pauses = pauses
        self._waiting = Waiting(pauses, agree_in_client=agree_in_client)
        self._resume_wait_s = resume_wait_s
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
        return await self._counted(
            principal, lambda: self._recorded(principal, source, catalogue, progress, code, started)
        )

    async def resume(self, principal: Principal, pause_id: str, progress: Progress | None = None) -> Reply:
        """Go on with a paused program of ``principal``, or say why not; wait a little for its person's decision.

        No call is ever made twice: who goes on has taken the program for good (portal.programs.pauses). Cancelling
        before its first call leaves it paused; after that it kills the program.
        """
        started = time.perf_counter()
        wait_s = self._resume_wait_s
        return await self._counted(
            principal, lambda: self._resumed(principal, pause_id, progress, pause_id, started, wait_s)
        )

    async def answered(
        self, principal: Principal, carried: str, request: str, answer: Answer, progress: Progress | None = None
    ) -> Reply:
        """Go on after a client has shown its person a Notice: ``carried`` is the Notice's, ``request`` the code or the
        id that was executed then. A yes or no that was given in the client counts where settings let it.
        """
        started = time.perf_counter()
        try:
            pause_id = self._pauses.id_in(principal, carried, request)
        except Unsealable:
            return refused(UNKNOWN)

        async def go() -> Reply:
            if answer in {"yes", "no"}:
                await self._waiting.decide_in_client(principal, pause_id, agreed=answer == "yes")
            # Who has closed what was shown decides later, if at all: nobody need be kept waiting for it.
            wait_s = self._resume_wait_s if answer == "shown" else 0.0
            return await self._resumed(principal, pause_id, progress, request, started, wait_s)

        return await self._counted(principal, go)

    async def _counted(self, principal: Principal, go: Callable[[], Awaitable[Reply]]) -> Reply:
        """Run ``go`` as one of the programs that the principal may have running, and say what of ours failed."""
        who = (principal.issuer, principal.subject)
        if self._running[who] >= self._per_principal:
            return refused(f"{self._per_principal} programs of yours are running already; nothing ran. Wait for one.")
        self._running[who] += 1
        try:
            return await go()
        except (AuditUnavailable, SQLAlchemyError):
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
            source = await self._parsed(code, servers)
        except SourceError as error:
            raise _NothingRan(f"failed: invalid · nothing ran\n{error.message}{_place(code, error.line)}") from None
        down = _down(source, catalogue)
        if down:
            raise _NothingRan(f"failed: unavailable · nothing ran\n{down}")
        return source

    async def _parsed(self, code: str, servers: Collection[str]) -> Source:
        return read(code, servers) if len(code) <= INLINE_SOURCE_CHARS else await asyncio.to_thread(read, code, servers)

    async def _recorded(
        self,
        principal: Principal,
        source: Source,
        catalogue: Catalogue,
        progress: Progress | None,
        request: str,
        started: float,
    ) -> Reply:
        log = await self._audit.begin(principal, source=source.code)

        async def go(work: _Work) -> _Ran:
            return await self._checked_run(work, source, progress)

        def opened() -> Session:
            return self._gate.open(principal, catalogue, log)

        return await self._ended(principal, catalogue, log, opened, go, request, started)

    async def _resumed(
        self,
        principal: Principal,
        pause_id: str,
        progress: Progress | None,
        request: str,
        started: float,
        wait_s: float,
    ) -> Reply:
        paused = await self._waiting.decided(principal, pause_id, wait_s)
        if paused is None:
            return refused(UNKNOWN)
        if not paused.ready:
            return await self._waiting.not_ready(principal, paused, request)
        try:
            going = await Going.take(self._pauses, principal, paused, self._audit.instance)
        except Unsealable:
            return refused(UNREADABLE)
        if going is None:
            # Somebody else was quicker, or it ended in this moment.
            again = await self._pauses.find(principal, paused.id)
            return await self._waiting.not_ready(principal, again or paused, request)
        catalogue, claimed = self._catalogue.current, going.claimed
        log = self._audit.resumed(claimed.before)

        async def go(work: _Work) -> _Ran:
            return await self._go_on(work, going, progress)

        def opened() -> Session:
            return self._gate.open(principal, catalogue, log, claimed.session)

        return await self._ended(principal, catalogue, log, opened, go, request, started, going.put_back)

    async def _ended(
        self,
        principal: Principal,
        catalogue: Catalogue,
        log: ProgramLog,
        opened: Callable[[], Session],
        go: Callable[[_Work], Awaitable[_Ran]],
        request: str,
        started: float,
        undo: Callable[[], Awaitable[bool]] = _nothing_to_undo,
    ) -> Reply:
        """Run the program with ``go``, record how it ended or where it waits, and only then say so.

        When it could not even begin, ``undo`` may say that it is as it was before.
        """
        paused: Paused | None = None
        shown = Shown("")
        try:
            session = opened()
            keeping = Keeping(self._results, principal, log)
            async with self._revocations.watching(principal.grant_id):
                ran = await go(_Work(principal, catalogue, session, keeping))
                outcome = ran.outcome
                if outcome.pause is not None:
                    outcome, paused = await self._waiting.keep(principal, log, session.state, outcome)
                elif outcome.failure is None:
                    shown = await present(outcome.value, keeping, self._reply_chars)
        except Revoked:
            ran, outcome, paused = _Ran(_REVOKED), _REVOKED, None
        except BaseException as error:
            # In one task that goes on by itself: whoever is cancelled here may not get to await a second thing.
            await asyncio.shield(_broken_off(log, error, undo))
            raise
        await log.finish("paused" if paused is not None else _end(outcome))
        elapsed_ms = (time.perf_counter() - started) * 1000
        if paused is not None:
            made = session.calls
            return await self._waiting.reply(principal, paused, request, made, elapsed_ms=elapsed_ms, outcome=outcome)
        if outcome.failure is not None:
            sight = Sight(catalogue, self._gate.allowed(principal), ran.source)
            advice = hints(outcome.failure, ran.findings, sight)
            return failed(outcome, session.calls, elapsed_ms=elapsed_ms, findings=ran.findings, hints=advice)
        hint = of_value(outcome.value, outcome.printed, ran.source)
        return succeeded(outcome, session.calls, shown, elapsed_ms=elapsed_ms, hint=hint)

    async def _go_on(self, work: _Work, going: Going, progress: Progress | None) -> _Ran:
        claimed, allowed = going.claimed, self._gate.allowed(work.principal)
        source = await self._parsed(claimed.before.source, work.catalogue.servers(allowed))
        modules = [work.catalogue.module(server, allowed) for server in sorted(source.servers)]
        wide = partial(_wide, work.catalogue, allowed, modules)

        async def again(call: PendingCall) -> Json:
            return await work.keeping.stowed(await going.again(work.session, call))

        async def run(dispatch: Dispatch, printed: Printed | None) -> Outcome:
            return await self._sandbox.resume(
                claimed.pause, source.code, modules, dispatch, self._limits, again, printed
            )

        try:
            outcome = await self._run(work, progress, run)
        except SandboxUnavailable as error:
            if not going.begun:
                raise
            outcome = Outcome(failure=Failure("crashed", f"{error}; it is not run again"))
        return await self._explained(outcome, source, modules, wide)

    async def _checked_run(self, work: _Work, source: Source, progress: Progress | None) -> _Ran:
        catalogue, allowed = work.catalogue, self._gate.allowed(work.principal)
        modules = [catalogue.module(server, allowed) for server in sorted(source.servers)]
        wide = partial(_wide, catalogue, allowed, modules)
        if modules and not _reads_only(source, catalogue, allowed):
            findings = await faults(self._sandbox, source.code, modules, wide)
            if findings:
                failure = Failure("invalid", "The type check failed; nothing ran.")
                return _Ran(Outcome(failure=failure), source, findings)

        async def run(dispatch: Dispatch, printed: Printed | None) -> Outcome:
            return await self._sandbox.run(source.code, modules, dispatch, self._limits, printed, source.gap)

        outcome = await self._run(work, progress, run)
        return await self._explained(outcome, source, modules, wide)

    async def _explained(
        self, outcome: Outcome, source: Source, modules: Sequence[Module], wide: Callable[[], Sequence[Module]]
    ) -> _Ran:
        if not modules or not _explainable(outcome):
            return _Ran(outcome, source)
        try:
            return _Ran(outcome, source, await faults(self._sandbox, source.code, modules, wide))
        except SandboxUnavailable:
            return _Ran(outcome, source)  # The check would only explain; the program's own failure is known already.

    async def _run(
        self,
        work: _Work,
        progress: Progress | None,
        run: Callable[[Dispatch, Printed | None], Awaitable[Outcome]],
    ) -> Outcome:
        call = work.keeping.around(work.session.call)
        if progress is None:
            return await run(call, None)
        async with reporting(progress) as report:

            async def reported(server: str, function: str, arguments: dict[str, Any]) -> Any:
                with report.call(f"{server}.{function}".lstrip(".")):
                    return await call(server, function, arguments)

            return await run(reported, report.printed)


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
