"""How a program failed, in at most MAX_TOKENS: the parts get shorter until they fit, whatever names and values hold.

Only the first line of a text that the program or an upstream wrote stands at the left edge; the others are set behind a
bar, so that none can pass for a line of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from portal.gate import CallRecord
from portal.programs.listing import made_lines
from portal.sandbox.contract import Diagnostic, Failure

MAX_TOKENS = 280
_PIECES = re.compile(r"\w{25,}|[A-Z]*[a-z]+|[A-Z]+|[0-9]+|\s+|([!-/:-@\[-`{-~])\1*|[^\x00-\x7f]|.", re.DOTALL)
MAX_TAIL_CHARS = 60
_FRAME = '  File "'


@dataclass(frozen=True, slots=True)
class _Size:
    frames: int
    source: int
    message: int
    findings: int
    hints: int
    hint: int
    calls: int


_SIZES = (
    _Size(frames=6, source=160, message=800, findings=6, hints=5, hint=400, calls=20),
    _Size(frames=4, source=100, message=400, findings=4, hints=4, hint=320, calls=12),
    _Size(frames=3, source=80, message=240, findings=3, hints=3, hint=240, calls=8),
    _Size(frames=2, source=60, message=160, findings=2, hints=2, hint=160, calls=5),
    _Size(frames=1, source=32, message=48, findings=1, hints=1, hint=64, calls=3),
)


def tokens(text: str) -> int:
    """Return about how many tokens a text is, rather too many than too few."""
    total = 0
    for match in _PIECES.finditer(text):
        piece = match.group()
        if piece.isascii() and len(piece) >= 25 and not piece.isspace():
            # No word is so long: a tokenizer knows only shreds of it.
            total += len(piece) * 3 // 4
        elif piece.isascii():
            # One space goes with the word after it.
            total += piece != " " if piece.isspace() else (len(piece) + 3) // (5 if piece.isalpha() else 3) or 1
        else:
            total += len(piece.encode("utf-8", "replace")) - 1
    return total


def failure_lines(
    failure: Failure, findings: Sequence[Diagnostic], hints: Sequence[str], calls: Sequence[CallRecord], note: str = ""
) -> list[str]:
    """Return the lines after the first. ``note`` is a line of ours that is never left out."""
    lines: list[str] = []
    for size in _SIZES:
        lines = _lines(failure, findings, hints, calls, note, size)
        if tokens("\n".join(lines)) <= MAX_TOKENS:
            break
    return lines


def _lines(
    failure: Failure,
    findings: Sequence[Diagnostic],
    hints: Sequence[str],
    calls: Sequence[CallRecord],
    note: str,
    size: _Size,
) -> list[str]:
    lines = _traceback(failure, size)
    lines.append(quoted(failure.message, size.message))
    lines += [note] if note else []
    lines += [f"  line {finding.line}: {one_line(finding.message, size.hint)}" for finding in findings[: size.findings]]
    if len(findings) > size.findings:
        lines.append(f"  … {len(findings) - size.findings} more")
    lines += [one_line(hint, size.hint) for hint in hints[: size.hints]]
    lines += made_lines(calls, size.calls)
    return lines


def _traceback(failure: Failure, size: _Size) -> list[str]:
    trace = failure.traceback.removesuffix(failure.message).rstrip("\n")
    if not trace:
        return []
    head, *rest = trace.split("\n")
    frames: list[list[str]] = []
    for line in rest:
        if line.startswith(_FRAME) or not frames:
            frames.append([])
        frames[-1].append(line)
    shown = frames
    if len(frames) > size.frames:
        # Where it happened before all, then what led there, and the outermost call if there is room.
        last = max(size.frames - 1, 1)
        outermost = frames[: size.frames - last]
        shown = [*outermost, [f"  … {len(frames) - size.frames} frames more"], *frames[-last:]]
    return [head, *(_cut(line, size.source) for frame in shown for line in frame)]


def quoted(text: str, max_chars: int) -> str:
    """Return text that is not ours: cut, without control characters, and every line but the first behind a bar."""
    lines = _cut(text, max_chars).split("\n")
    return "\n  | ".join("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines)


def one_line(text: str, max_chars: int) -> str:
    """Return text as one printable line."""
    return _cut("".join(c if c.isprintable() else " " for c in text), max_chars)


def _cut(text: str, max_chars: int) -> str:
    """Return text with its middle left out: what went wrong tends to stand at one of its ends."""
    if len(text) <= max_chars:
        return text
    tail = min(max_chars // 2, MAX_TAIL_CHARS)
    return f"{text[: max_chars - tail - 1]}…{text[len(text) - tail :]}"
