"""Programs that wait: kept before the agent hears of it, looked for until they are decided, and put into words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from portal.audit.audit import ProgramLog
from portal.audit.query import CallRecord as RecordedCall
from portal.gate import WAITED, CallRecord
from portal.programs.listing import made_lines
from portal.programs.notice import Notice
from portal.programs.pauses import Paused, Pauses, Person, TooManyPaused
from portal.programs.reply import Reply, count, printed_lines
from portal.sandbox.contract import Failure, Json, Outcome, Pause, PendingCall
from shared_auth.principal import Principal

MAX_PENDING_LINES = MAX_MADE_LINES = 20
MAX_ARGUMENTS_CHARS = 300
UNKNOWN = (
    "There is no paused program with this id for this person, client and sign-in. Nothing ran. Run the program again."
)
UNREADABLE = (
    "failed: lost · nothing more ran\nThe paused program was kept by another release of the portal, or its record was "
    "changed, so it cannot go on. Look at what it has done before you run it again."
)

TOO_MANY = (
    "limit paused_programs: as many programs of yours wait for a person as may wait at once, so this one was ended. "
    "Have those decided first"
)
DECISION_POLL_S = 1.0
INLINE_ARGUMENT_BYTES = 65_536
"""More arguments than that are put into words in a thread."""

_KEPT = "Nothing is lost: what it did so far is not done again."
_HELD = "It waits in its process until then, and is lost if the portal restarts; it is never run twice."
ELSEWHERE = (
    "The program waits in a process of the portal that this request did not reach: another replica, or one that has "
    "stopped since. Call execute with the same resume again; another try may reach it. If none does, it ends with what "
    "it had done. A program of plain functions, loops and asyncio.gather, without the line `# engine: cpython`, is "
    "kept wherever it waits."
)

_ENDED = {
    "expired": "Nobody decided, or nobody asked again, in time, so it does not go on.",
    "revoked": "The access that it ran with has ended, so it does not go on.",
    "running": "It goes on already, for another request. That one gets its result.",
    "interrupted": "The portal, or the process that it waited in, stopped before it ended. It is never run twice.",
}


class Waiting:
    """What Programs knows of pauses, but for going on with one. Methods raise SQLAlchemyError."""

    def __init__(self, pauses: Pauses, *, agree_in_client: bool) -> None:
        self._pauses = pauses
        self._agree_in_client = agree_in_client

    async def keep(
        self,
        principal: Principal,
        log: ProgramLog,
        session: dict[str, Json],
        pause: Pause,
        *,
        holder: str = "",
        life_s: float | None = None,
    ) -> Paused | Failure:
        """Store a program that has stopped to wait. It can go on only once its record says so, too: see Pauses.claim.
        ``holder`` and ``life_s`` are those of Pauses.save.

        Where it cannot be kept, there is nothing to wait for, and the failure says why. Raises AuditUnavailable.
        """
        await log.durable()
        try:
            return await self._pauses.save(principal, log.id, pause, session, holder=holder, life_s=life_s)
        except TooManyPaused:
            return Failure("limit", TOO_MANY, limit="paused_programs")
        except SQLAlchemyError:
            return Failure("crashed", "the portal could not keep the program while it waits for a person")

    async def decide_in_client(self, principal: Principal, pause_id: str, *, agreed: bool) -> None:
        """Let what a person said in their client count, if settings let it."""
        found = await self._pauses.find(principal, pause_id) if self._agree_in_client else None
        if found is not None:
            calls = [call.id for call in found.pending] if agreed else []
            await self._pauses.decide(Person.of(principal), pause_id, calls, how="client")

    async def decided(self, principal: Principal, pause_id: str, wait_s: float) -> Paused | None:
        """Return the pause as soon as it is decided, or as it is after a while. A program that has gone on and waits
        again is found by its first id, too: a client may have missed the reply that held the second.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        paused = await self._pauses.find(principal, pause_id)
        if paused is not None and paused.state == "resumed" and paused.outcome == "paused":
            paused = await self._pauses.latest(principal, paused.program_id)
        while paused is not None and paused.state == "waiting" and not paused.ready and loop.time() < until_s:
            await asyncio.sleep(min(DECISION_POLL_S, wait_s))
            paused = await self._pauses.find(principal, paused.id)
        return paused

    async def not_ready(self, principal: Principal, paused: Paused, request: str) -> Reply:
        """Say that it still waits, or why it does not go on any more."""
        if paused.state == "waiting" and paused.outcome == "paused":
            return await self.reply(principal, paused, request, ())
        return over(paused, await self._pauses.calls(principal, paused.program_id))

    async def elsewhere(self, principal: Principal, paused: Paused) -> Reply:
        """Say that it waits in a process that is not this one, or was, and what it has done."""
        made = _made(await self._pauses.calls(principal, paused.program_id))
        return Reply("\n".join([ELSEWHERE, *made_lines(made, MAX_MADE_LINES)]), is_error=True)

    async def reply(
        self,
        principal: Principal,
        paused: Paused,
        request: str,
        calls: Sequence[CallRecord],
        *,
        elapsed_ms: float | None = None,
        outcome: Outcome | None = None,
    ) -> Reply:
        """Say what a program waits for. ``request`` is what the client executed: code, or an id."""
        carried = self._pauses.state_of(principal, paused.id, request)

        def said() -> Reply:
            shown = notice(paused, self._pauses, carried, in_client=self._agree_in_client)
            return waits(paused, self._pauses, shown, calls, elapsed_ms=elapsed_ms, outcome=outcome)

        large = sum(call.size_bytes for call in paused.pending) > INLINE_ARGUMENT_BYTES
        return await asyncio.to_thread(said) if large else said()


def waits(
    paused: Paused,
    pauses: Pauses,
    notice: Notice,
    calls: Sequence[CallRecord],
    *,
    elapsed_ms: float | None = None,
    outcome: Outcome | None = None,
) -> Reply:
    """Say what a program waits for, where that is done, and how it goes on."""
    made = [call for call in calls if call.outcome not in WAITED]
    head = f"paused · {count(made)}" + ("" if elapsed_ms is None else f" · {elapsed_ms:.0f} ms")
    until = datetime.fromtimestamp(paused.expires_ms / 1_000, UTC).strftime("%H:%M UTC")
    lines = [head, _what_to_do(paused, pauses), f'Then call execute with resume="{paused.id}" alone, until {until}.']
    lines += [_KEPT if not paused.holder else _HELD, "waits for:"]
    lines += [f"  {line_of(call, pauses)}" for call in paused.pending[:MAX_PENDING_LINES]]
    if len(paused.pending) > MAX_PENDING_LINES:
        lines.append(f"  … {len(paused.pending) - MAX_PENDING_LINES} more")
    lines += made_lines(made, MAX_MADE_LINES)
    lines += printed_lines(outcome.printed) if outcome is not None else []
    return Reply("\n".join(lines), is_error=False, pause=notice)


def notice(paused: Paused, pauses: Pauses, carried: str, *, in_client: bool) -> Notice:
    """Return what a client shows its person."""
    lines = [f"- {line_of(call, pauses)}" for call in paused.pending[:MAX_PENDING_LINES]]
    message = "\n".join(["A program of yours waits for you:", *lines])
    only_accounts = not paused.asks and paused.pending
    address = pauses.connect_address(paused.pending[0]) if only_accounts else pauses.address(paused.id)
    return Notice(address, message, carried, client=in_client and paused.asks > 0)


def line_of(call: PendingCall, pauses: Pauses) -> str:
    """Return a call that waits, and why, in one line of printable ASCII but for the operator's own words."""
    text = ", ".join(f"{name}={json.dumps(value)}" for name, value in call.arguments.items())
    if len(text) > MAX_ARGUMENTS_CHARS:
        text = text[:MAX_ARGUMENTS_CHARS] + "…"
    return f"{call.module}.{call.function}({text}): {_why(call, pauses)}"


def over(paused: Paused, calls: Sequence[RecordedCall]) -> Reply:
    """Say why a program does not go on, and what it has done."""
    state = paused.state if paused.state in {"expired", "revoked", "interrupted"} else paused.outcome
    made = _made(calls)
    why = _ENDED.get(state, f"It has gone on already, and ended: {state}. It is never run twice.")
    return Reply("\n".join([f"failed: {state} · {count(made)}", why, *made_lines(made, MAX_MADE_LINES)]), is_error=True)


def _made(calls: Sequence[RecordedCall]) -> list[CallRecord]:
    return [
        CallRecord(f"{call.server}.{call.tool}", call.outcome, call.elapsed_ms or 0.0, call.effect) for call in calls
    ]


def _what_to_do(paused: Paused, pauses: Pauses) -> str:
    if paused.asks:
        return f"Nothing more runs before the person you work for has decided, at {pauses.address(paused.id)}"
    return "Nothing more runs before the person you work for has connected an account, or granted more of it, as below."


def _why(call: PendingCall, pauses: Pauses) -> str:
    if call.need["kind"] == "connect":
        return f"connect your {call.module} account at {pauses.connect_address(call)}"
    if call.need["kind"] == "scope":
        scopes = ", ".join(call.need["scopes"])
        return f"grant {scopes} of your {call.module} account at {pauses.connect_address(call)}"
    return " ".join(call.need["reasons"])
