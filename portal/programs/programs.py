"""One program's life: read → check when a write is named → run (→ pause → go on) → reply, on the record from its first
moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from portal.audit.audit import Audit, AuditUnavailable, ProgramLog
from portal.catalogue.live import LiveCatalogue
from portal.catalogue.snapshot import Catalogue
from portal.gate import Gate
from portal.programs.attendance import Attendance
from portal.programs.brief import one_line
from portal.programs.going import Going
from portal.programs.handles import Results
from portal.programs.held import Arrival, Gone, Held
from portal.programs.hints import Sight, hints, of_value
from portal.programs.keeping import Keeping
from portal.programs.notice import Answer
from portal.programs.pauses import Paused, Pauses, Person
from portal.programs.presenting import Shown, present
from portal.programs.progress import Audience, Progress
from portal.programs.reply import Reply, failed, refused, succeeded
from portal.programs.revocations import Revocations, Revoked
from portal.programs.running import Ran, Running, parsed
from portal.programs.source import Source, SourceError
from portal.programs.waiting import UNKNOWN, UNREADABLE, Waiting
from portal.programs.work import Holder, Work
from portal.sandbox.contract import (
    Failure,
    Limits,
    Outcome,
    Sandbox,
    SandboxUnavailable,
)
from shared_auth.principal import Principal
from shared_auth.sealing import Unsealable

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
        held: Held,
        *,
        limits: Limits,
        reply_chars: int,
        per_principal: int,
        agree_in_client: bool = False,
        resume_wait_s: float = RESUME_WAIT_S,
    ) -> None:
        self._course = Running(sandbox, gate, limits)
        self._catalogue = catalogue
        self._gate = gate
        self._audit = audit
        self._revocations = revocations
        self._results = results
        self._limits = limits
        self._reply_chars = reply_chars
        self._per_principal = per_principal
        self._pauses = pauses
        self._held = held
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
            source = await parsed(code, servers)
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
        request: str,
        started: float,
    ) -> Reply:
        log = await self._audit.begin(principal, source=source.code)
        attendance = Attendance()
        seat = self._held.seat(Person.of(principal), attendance)

        session, keeping = self._gate.open(principal, catalogue, log), Keeping(self._results, principal, log)
        work = Work(principal, catalogue, session, keeping, log, request, Audience(progress), started)
        holder = Holder(
            *(work, attendance, seat, self._pauses, self._waiting),
            instance=self._audit.instance,
            hold_s=self._held.room.hold_s,
        )

        async def life() -> Reply:
            try:
                return await self._ended(work, lambda: self._course.run(work, source, holder))
            finally:
                seat.left()

        return await attendance.begin(life())

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
        return await self._taken(principal, paused, progress, request, started)

    async def _taken(
        self, principal: Principal, paused: Paused, progress: Progress | None, request: str, started: float
    ) -> Reply:
        """Go on with a program that may go on, unless somebody else is quicker."""
        seat = self._held.find(paused.id)
        if paused.holder and seat is None:
            return await self._waiting.elsewhere(principal, paused)
        try:
            going = await Going.take(self._pauses, principal, paused, self._audit.instance)
        except Unsealable:
            return refused(UNREADABLE)
        if going is None:
            # Somebody else was quicker, or it ended in this moment.
            again = await self._pauses.find(principal, paused.id)
            return await self._waiting.not_ready(principal, again or paused, request)
        catalogue, log = self._catalogue.current, self._audit.resumed(going.claimed.before)
        if seat is not None:
            try:
                return await seat.go_on(Arrival(principal, catalogue, log, going, request, progress, started))
            except Gone:
                # In one task that goes on by itself: the record must not say that it runs, whoever is cancelled.
                await asyncio.shield(self._gone(going, paused.id))
                again = await self._pauses.find(principal, paused.id)
                return await self._waiting.not_ready(principal, again or paused, request)
        session = self._gate.open(principal, catalogue, log, going.claimed.session)
        keeping = Keeping(self._results, principal, log)
        work = Work(principal, catalogue, session, keeping, log, request, Audience(progress), started)
        return await self._ended(work, lambda: self._course.go_on(work, going), going.put_back)

    async def _gone(self, going: Going, pause_id: str) -> None:
        """End a program that was taken in the moment in which its process ended: as if nobody had taken it."""
        await going.put_back()
        await self._pauses.abandon(pause_id)

    async def _ended(
        self,
        work: Work,
        go: Callable[[], Awaitable[Ran]],
        undo: Callable[[], Awaitable[bool]] = _nothing_to_undo,
    ) -> Reply:
        """Run the program with ``go``, record how it ended or where it waits, and only then say so.

        When it could not even begin, ``undo`` may say that it is as it was before.
        """
        paused: Paused | None = None
        shown = Shown("")
        try:
            async with self._revocations.watching(work.principal.grant_id):
                ran = await go()
                outcome = ran.outcome
                if outcome.pause is not None:
                    kept = await self._waiting.keep(work.principal, work.log, work.session.state, outcome.pause)
                    if isinstance(kept, Failure):
                        outcome = replace(outcome, pause=None, failure=kept)
                    else:
                        paused = kept
                elif outcome.failure is None:
                    shown = await present(outcome.value, work.keeping, self._reply_chars)
        except Revoked:
            ran, outcome, paused = Ran(_REVOKED), _REVOKED, None
        except BaseException as error:
            # In one task that goes on by itself: whoever is cancelled here may not get to await a second thing.
            await asyncio.shield(_broken_off(work.log, error, undo))
            raise
        await work.log.finish("paused" if paused is not None else _end(outcome))
        elapsed_ms, made = work.elapsed_ms, work.session.calls
        if paused is not None:
            return await self._waiting.reply(
                work.principal, paused, work.request, made, elapsed_ms=elapsed_ms, outcome=outcome
            )
        if outcome.failure is not None:
            sight = Sight(work.catalogue, self._gate.allowed(work.principal), ran.source)
            advice = hints(outcome.failure, ran.findings, sight)
            return failed(outcome, made, elapsed_ms=elapsed_ms, findings=ran.findings, hints=advice)
        hint = of_value(outcome.value, outcome.printed, ran.source)
        return succeeded(outcome, made, shown, elapsed_ms=elapsed_ms, hint=hint)


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
