"""How a program ended, as the compact text that the agent reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.gate import CallRecord
from portal.programs.brief import failure_lines
from portal.programs.notice import Notice
from portal.programs.presenting import Attachment, Shown
from portal.sandbox.contract import Diagnostic, Outcome

MAX_PRINTED_CHARS = 8_000


@dataclass(frozen=True, slots=True)
class Reply:
    """One text for the agent, and files beside it.

    ``is_error`` when the program did not return, ``pause`` when it waits for a person.
    """

    text: str
    is_error: bool
    attachments: tuple[Attachment, ...] = ()
    pause: Notice | None = None


def succeeded(
    outcome: Outcome, calls: Sequence[CallRecord], shown: Shown, *, elapsed_ms: float, hint: str = ""
) -> Reply:
    """Say what the program returned and printed."""
    lines = [f"ok · {count(calls)} · {elapsed_ms:.0f} ms", shown.text]
    lines += [text for text in (shown.note, hint) if text]
    lines += _engine(outcome)
    lines += printed_lines(outcome.printed)
    return Reply("\n".join(lines), is_error=False, attachments=shown.attachments)


def failed(
    outcome: Outcome,
    calls: Sequence[CallRecord],
    *,
    elapsed_ms: float,
    findings: Sequence[Diagnostic] = (),
    hints: Sequence[str] = (),
) -> Reply:
    """Say why the program did not return, where, what to write instead, and which calls it had made by then."""
    failure = outcome.failure
    if failure is None:
        raise ValueError("the program did not fail")
    lines = [f"failed: {failure.kind} · {count(calls)} · {elapsed_ms:.0f} ms"]
    lines += failure_lines(failure, findings, hints, calls, "".join(_engine(outcome)))
    lines += printed_lines(outcome.printed)
    return Reply("\n".join(lines), is_error=True)


def refused(message: str) -> Reply:
    """Say why nothing ran."""
    return Reply(message, is_error=True)


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
