"""How a program ended, as the compact text that the agent reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from portal.gate import CallRecord
from portal.programs.results import render
from portal.sandbox.contract import Diagnostic, Outcome

MAX_PRINTED_CHARS = 8_000
MAX_CALL_LINES = 20


class Notice(Protocol):
    """What a client needs of a paused program; portal.programs.waiting makes it."""

    @property
    def address(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def carried(self) -> str: ...
    @property
    def asks(self) -> bool: ...
    @property
    def client(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """One text for the agent; ``is_error`` when the program did not return, ``pause`` when it waits for a person."""

    text: str
    is_error: bool
    pause: Notice | None = None


def succeeded(outcome: Outcome, calls: Sequence[CallRecord], *, elapsed_ms: float, max_chars: int) -> Reply:
    """Say what the program returned and printed. Runs off the event loop: the value may be megabytes."""
    text, cut = render(outcome.value, max_chars)
    lines = [f"ok · {count(calls)} · {elapsed_ms:.0f} ms", text]
    if cut:
        lines.append("(cut to fit: filter or aggregate in the program, and return less)")
    lines += _engine(outcome)
    lines += printed_lines(outcome.printed)
    return Reply("\n".join(lines), is_error=False)


def failed(
    outcome: Outcome, calls: Sequence[CallRecord], *, elapsed_ms: float, findings: Sequence[Diagnostic] = ()
) -> Reply:
    """Say why the program did not return, where, and which calls it had made by then."""
    failure = outcome.failure
    if failure is None:
        raise ValueError("the program did not fail")
    lines = [f"failed: {failure.kind} · {count(calls)} · {elapsed_ms:.0f} ms", failure.traceback or failure.message]
    if failure.traceback and failure.message not in failure.traceback:
        lines.append(failure.message)
    lines += _engine(outcome) + _findings(findings)
    lines += calls_made(calls)
    lines += printed_lines(outcome.printed)
    return Reply("\n".join(lines), is_error=True)


def calls_made(calls: Sequence[CallRecord]) -> list[str]:
    """Return the calls that a program has made, the latest of them when they are many."""
    if not calls:
        return []
    shown = calls if len(calls) <= MAX_CALL_LINES else calls[-MAX_CALL_LINES:]
    earlier = [f"  … {len(calls) - len(shown)} earlier"] if len(shown) < len(calls) else []
    return [
        "calls already made:",
        *earlier,
        *(f"  {call.tool} → {call.outcome} ({call.elapsed_ms:.0f} ms)" for call in shown),
    ]


def refused(message: str, findings: Sequence[Diagnostic] = ()) -> Reply:
    """Say why nothing ran."""
    return Reply("\n".join([message, *_findings(findings)]), is_error=True)


def _findings(findings: Sequence[Diagnostic]) -> list[str]:
    return [f"  line {finding.line}: {finding.message}" for finding in findings[:10]]


def _engine(outcome: Outcome) -> list[str]:
    # Monty is the rule; only the exception is worth the words.
    return [] if outcome.engine == "monty" else [f"(ran on {outcome.engine})"]


def printed_lines(printed: str) -> list[str]:
    """Return what a program printed, under a line that says so."""
    if not printed:
        return []
    if len(printed) > MAX_PRINTED_CHARS:
        printed = printed[:MAX_PRINTED_CHARS] + f"\n… ({len(printed) - MAX_PRINTED_CHARS} more characters)"
    return ["--- printed", printed.rstrip("\n")]


def count(calls: Sequence[CallRecord]) -> str:
    """Return how many calls there are, in words."""
    return f"{len(calls)} call" + ("" if len(calls) == 1 else "s")
