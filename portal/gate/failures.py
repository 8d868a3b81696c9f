"""What a program reads when a call did not succeed: what happened, and whether to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from portal.catalogue.records import Tool
from portal.sandbox.contract import CallFailed, CallRevoked, ErrorName
from portal.upstream.failures import Kind, UpstreamFailure

MAX_NAME_CHARS = 100
MAX_MESSAGE_CHARS = 800
MAX_RETRY_AFTER_S = 86_400

ABOUT_S = 5
"""When to try again where the upstream did not say."""

_LOOK = "Whether it took effect is not known: look before you try again"
_ERRORS: Mapping[Kind, ErrorName] = {
    "not_found": "LookupError",
    "forbidden": "PermissionError",
    "invalid": "ValueError",
    "rate_limited": "OSError",
    "unavailable": "OSError",
    "timeout": "TimeoutError",
    "upstream": "RuntimeError",
    "connect": "PermissionError",
    "scope": "PermissionError",
}
# The request may have arrived and only the answer been lost.
_UNSURE: frozenset[Kind] = frozenset({"timeout", "unavailable", "upstream"})


def of_upstream(tool: Tool, failure: UpstreamFailure) -> CallFailed:
    """Return what the program sees of an upstream's failure."""
    message = f"{tool.qualified}: {failure.message[:MAX_MESSAGE_CHARS]}"
    if failure.kind in {"connect", "scope"}:  # nothing was changed, and the message says what to do
        return CallFailed(message, "PermissionError")
    return CallFailed(f"{message}. {_advice(tool, failure)}", _ERRORS.get(failure.kind, "RuntimeError"))


def timed_out(tool: Tool, timeout_s: float) -> CallFailed:
    """Return what the program sees when no answer came in time."""
    return of_upstream(tool, UpstreamFailure(tool.server, "timeout", f"no answer in {timeout_s:g} s", retryable=True))


def not_its_turn(tool: Tool, timeout_s: float) -> UpstreamFailure:
    """Return the failure of a call that waited for a place at its upstream until it was too late to send it."""
    said = f"too many calls to {tool.server} are waiting: not sent within {timeout_s:g} s"
    return UpstreamFailure(tool.server, "timeout", said, retryable=True, sent=False)


def broken(tool: Tool) -> CallFailed:
    """Return what the program sees when the fault is ours."""
    advice = f"Try again after {ABOUT_S} s" if tool.effect == "read" else _LOOK
    return CallFailed(f"{tool.qualified}: the portal could not complete the call. {advice}")


def unknown(server: str, function: str, similar: Sequence[str]) -> CallFailed:
    """Return the one answer for a tool that does not exist and for one that this principal may not see."""
    name = "".join(c if c.isprintable() else "?" for c in f"{server}.{function}"[:MAX_NAME_CHARS])
    meant = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return CallFailed(f"no tool {name}{meant}; use search to find tools", "LookupError")


def too_many_calls(wait_s: float) -> CallFailed:
    """Return what the program sees when the person's calls of this minute are spent."""
    return CallFailed(
        f"too many calls in a minute. Try again after {max(1, math.ceil(wait_s))} s, and ask for more in each call",
        "OSError",
    )


def too_many_writes(limit: int) -> CallRevoked:
    """Return what ends a program that writes more than it may."""
    return CallRevoked(
        "writes_per_program",
        f"the program made {limit} writes, as many as one program may; the rest was not made. "
        "Check what was done before you go on in another program",
    )


def unrecorded() -> CallRevoked:
    """Return what ends a program whose calls cannot be recorded."""
    return CallRevoked("record", "the portal cannot write its record, so the call was not made. Try again later")


def needs_a_person(tool: Tool) -> CallFailed:
    """Return what a client that acts for itself sees of a tool that a person has to say yes to: it has none to ask."""
    return CallFailed(
        f"{tool.qualified}: a person has to agree to this call, and a client that acts for itself has nobody to ask",
        "PermissionError",
    )


def not_agreed(tool: str) -> CallFailed:
    """Return what the program sees of a call that its person has refused."""
    return CallFailed(f"{tool}: refused by the person whom it asked; the call was not made", "PermissionError")


def _advice(tool: Tool, failure: UpstreamFailure) -> str:
    if tool.effect != "read" and failure.sent and failure.kind in _UNSURE:
        return _LOOK
    after_s = failure.retry_after_s
    if after_s is not None and 0 <= after_s <= MAX_RETRY_AFTER_S:
        return f"Try again after {max(1, math.ceil(after_s))} s"
    if failure.retryable or failure.kind in {"rate_limited", "unavailable", "timeout"}:
        return f"Try again after {ABOUT_S} s"
    return "The same call would fail again"
