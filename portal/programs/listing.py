"""The calls that a program had made when it failed, in few lines: what it read by number, what it wrote one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.gate import CallRecord

MAX_NAME_CHARS = 80
_WRITES = frozenset({"write", "destructive"})
_NOT_SENT = frozenset({"invalid", "unknown", "over budget", "unrecorded", "not sent"})
_UNSURE = frozenset({"timeout", "unavailable", "upstream", "error", "cancelled", "running"})
"""Ends of a write after which nobody knows whether it took effect."""


@dataclass(slots=True)
class _Row:
    """Calls of one tool that ended alike; a write that was sent is a row of its own."""

    tool: str
    outcome: str
    effect: str
    count: int
    slowest_ms: float

    def text(self) -> str:
        """Return the row as the agent reads it."""
        name = self.tool if len(self.tool) <= MAX_NAME_CHARS else f"{self.tool[: MAX_NAME_CHARS - 1]}…"
        times = f" \N{MULTIPLICATION SIGN} {self.count}" if self.count > 1 else ""
        most = "≤ " if self.count > 1 else ""
        notes = [self.effect] if self.effect else []
        if self.effect and self.outcome in _UNSURE:
            notes.append("may have taken effect")
        return f"  {name}{times} → {self.outcome} ({', '.join([*notes, f'{most}{self.slowest_ms:.0f} ms'])})"


def made_lines(calls: Sequence[CallRecord], max_lines: int) -> list[str]:
    """Return the calls under a heading; nothing when there were none."""
    return ["calls already made:", *listed(calls, max_lines)] if calls else []


def listed(calls: Sequence[CallRecord], max_lines: int) -> list[str]:
    """Return the calls in the order in which they began, in about ``max_lines`` lines.

    Between two writes, reads of one tool that ended alike are one line. A write that was sent has a line of its own;
    where there are more of them than lines, the earliest are counted by tool and end, never left out.
    """
    rows = list(_rows(calls))
    writes = [row for row in rows if row.effect]
    spare = max(max_lines - len(writes), 1)
    reads = [row for row in rows if not row.effect]
    dropped = {id(row) for row in reads[: max(len(reads) - spare, 0)]}
    early = writes[: max(len(writes) - max_lines, 0)]
    left_out = sum(row.count for row in reads if id(row) in dropped)
    head = [f"  … {left_out} earlier reads"] if left_out else []
    head += [row.text() for row in _counted(early)]
    hidden = dropped | {id(row) for row in early}
    return head + [row.text() for row in rows if id(row) not in hidden]


def _rows(calls: Sequence[CallRecord]) -> Iterable[_Row]:
    waiting: dict[tuple[str, str], _Row] = {}
    for call in calls:
        if call.effect in _WRITES and call.outcome not in _NOT_SENT:
            yield from waiting.values()
            waiting = {}
            yield _Row(call.tool, call.outcome, call.effect, 1, call.elapsed_ms)
        else:
            _add(waiting, _Row(call.tool, call.outcome, "", 1, call.elapsed_ms))
    yield from waiting.values()


def _counted(rows: Iterable[_Row]) -> Iterable[_Row]:
    found: dict[tuple[str, str], _Row] = {}
    for row in rows:
        _add(found, row)
    return found.values()


def _add(rows: dict[tuple[str, str], _Row], row: _Row) -> None:
    known = rows.setdefault((row.tool, row.outcome), row)
    if known is not row:
        known.count += row.count
        known.slowest_ms = max(known.slowest_ms, row.slowest_ms)
