"""What an agent reads of a paused program: where its person decides, and what became of one that cannot go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from portal.audit.query import CallRecord as RecordedCall
from portal.gate import CallRecord
from portal.programs.listing import made_lines
from portal.programs.pauses import Paused, Pauses
from portal.programs.reply import Reply, count, printed_lines
from portal.sandbox.contract import Outcome, PendingCall

MAX_PENDING_LINES = MAX_MADE_LINES = 20
MAX_ARGUMENTS_CHARS = 300
UNKNOWN = (
    "There is no paused program with this id for this person, client and sign-in. Nothing ran. Run the program again."
)
UNREADABLE = (
    "failed: lost · nothing more ran\nThe paused program was kept by another release of the portal, or its record was "
    "changed, so it cannot go on. Look at what it has done before you run it again."
)

_ENDED = {
    "expired": "Nobody decided in time, so it does not go on.",
    "revoked": "The access that it ran with has ended, so it does not go on.",
    "running": "It goes on already, for another request. That one gets its result.",
    "interrupted": "It went on, and the portal stopped before it ended. It is never run twice.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a client needs to show its person where to decide. ``carried`` comes back with the same request to go on;
    ``asks`` is whether there is a yes or no to give, ``client`` whether it may be given in the client.
    """

    address: str
    message: str
    carried: str
    asks: bool
    client: bool


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
    made = [call for call in calls if call.outcome not in {"asked", "connect"}]
    head = f"paused · {count(made)}" + ("" if elapsed_ms is None else f" · {elapsed_ms:.0f} ms")
    until = datetime.fromtimestamp(paused.expires_ms / 1_000, UTC).strftime("%H:%M UTC")
    lines = [head, _what_to_do(paused, pauses), f'Then call execute with resume="{paused.id}" alone, until {until}.']
    lines += ["Nothing is lost: what it did so far is not done again.", "waits for:"]
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
    address = pauses.connect_address(paused.pending[0].module) if only_accounts else pauses.address(paused.id)
    return Notice(address, message, carried, asks=paused.asks > 0, client=in_client and paused.asks > 0)


def line_of(call: PendingCall, pauses: Pauses) -> str:
    """Return a call that waits, and why, in one line of printable ASCII but for the operator's own words."""
    text = ", ".join(f"{name}={json.dumps(value)}" for name, value in call.arguments.items())
    if len(text) > MAX_ARGUMENTS_CHARS:
        text = text[:MAX_ARGUMENTS_CHARS] + "…"
    return f"{call.module}.{call.function}({text}): {_why(call, pauses)}"


def over(paused: Paused, calls: Sequence[RecordedCall]) -> Reply:
    """Say why a program does not go on, and what it has done."""
    state = paused.state if paused.state in {"expired", "revoked"} else paused.outcome
    made = [
        CallRecord(f"{call.server}.{call.tool}", call.outcome, call.elapsed_ms or 0.0, call.effect)
        for call in calls
        if call.outcome not in {"asked", "connect"}
    ]
    why = _ENDED.get(state, f"It has gone on already, and ended: {state}. It is never run twice.")
    return Reply("\n".join([f"failed: {state} · {count(made)}", why, *made_lines(made, MAX_MADE_LINES)]), is_error=True)


def _what_to_do(paused: Paused, pauses: Pauses) -> str:
    if paused.asks:
        return f"Nothing more runs before the person you work for has decided, at {pauses.address(paused.id)}"
    return "Nothing more runs before the person you work for has connected an account, as said below."


def _why(call: PendingCall, pauses: Pauses) -> str:
    if call.need["kind"] == "connect":
        return f"connect your {call.module} account at {pauses.connect_address(call.module)}"
    return " ".join(call.need["reasons"])
