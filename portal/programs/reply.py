"""How a program ended, as the compact text that the agent reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.gate import CallRecord
from portal.programs.presenting import Attachment, Shown
from portal.sandbox.contract import Diagnostic, Outcome

MAX_PRINTED_CHARS = 8_000
MAX_CALL_LINES = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """One text for the agent, and files beside it; ``is_error`` when the program did not return."""

    text: str
    is_error: bool
    attachments: tuple[Attachment, ...] = ()


def succeeded(outcome: Outcome, calls: Sequence[CallRecord], shown: Shown, *, elapsed_ms: float) -> Reply:
    """Say what the program returned and printed."""
    lines = [f"ok · {_count(calls)} · {elapsed_ms:.0f} ms", shown.text]
    if shown.note:
        lines.append(shown.note)
    lines += _engine(outcome)
    lines += _printed(outcome.printed)
    return Reply("\n".join(lines), is_error=False, attachments=shown.attachments)


def failed(
    outcome: Outcome, calls: Sequence[CallRecord], *, elapsed_ms: float, findings: Sequence[Diagnostic] = ()
) -> Reply:
    """Say why the program did not return, where, and which calls it had made by then."""
    failure = outcome.failure
    if failure is None:
        raise ValueError("the program did not fail")
    lines = [f"failed: {failure.kind} · {_count(calls)} · {elapsed_ms:.0f} ms", failure.traceback or failure.message]
    if failure.traceback and failure.message not in failure.traceback:
        lines.append(failure.message)
    lines += _engine(outcome) + _findings(findings)
    if calls:
        lines.append("calls already made:")
        shown = calls if len(calls) <= MAX_CALL_LINES else calls[-MAX_CALL_LINES:]
        if len(shown) < len(calls):
            lines.append(f"  … {len(calls) - len(shown)} earlier")
        lines += [f"  {call.tool} → {call.outcome} ({call.elapsed_ms:.0f} ms)" for call in shown]
    lines += _printed(outcome.printed)
    return Reply("\n".join(lines), is_error=True)


def refused(message: str, findings: Sequence[Diagnostic] = ()) -> Reply:
    """Say why nothing ran."""
    return Reply("\n".join([message, *_findings(findings)]), is_error=True)


def _findings(findings: Sequence[Diagnostic]) -> list[str]:
    return [f"  line {finding.line}: {finding.message}" for finding in findings[:10]]


def _engine(outcome: Outcome) -> list[str]:
    # Monty is the rule; only the exception is worth the words.
    return [] if outcome.engine == "monty" else [f"(ran on {outcome.engine})"]


def _printed(printed: str) -> list[str]:
    if not printed:
        return []
    if len(printed) > MAX_PRINTED_CHARS:
        printed = printed[:MAX_PRINTED_CHARS] + f"\n… ({len(printed) - MAX_PRINTED_CHARS} more characters)"
    return ["--- printed", printed.rstrip("\n")]


def _count(calls: Sequence[CallRecord]) -> str:
    return f"{len(calls)} call" + ("" if len(calls) == 1 else "s")
