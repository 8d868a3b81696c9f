"""From a worker's error to a Failure: which kind it is, where, and what to write instead.

The traceback shows the program's own lines; they are taken from the source that was submitted, never from the worker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from portal.sandbox.budget import OverBudget
from portal.sandbox.contract import Failure, Limits
from portal.sandbox.events import ErrorEvent, Frame

MAX_FRAMES = 6
MAX_SOURCE_CHARS = 160
MAX_MESSAGE_CHARS = 4_000
MAX_NAME_CHARS = 200
_FEED_FILE = "<python-input-"
_UNSUPPORTED = re.compile(r"The monty syntax parser does not yet support (.+)", re.DOTALL)
_NO_MODULE = re.compile(r"No module named '([^']+)'")
_NO_ATTRIBUTE = re.compile(r"module '(\w+)' has no attribute '(\w+)'")
_NO_IMPORT = re.compile(r"cannot import name '(\w+)' from '(\w+)'")

_SYNTAX_HINTS = (
    ("yield", "collect the values in a list and return it"),
    ("class inheritance", "use plain classes, dictionaries, or a kind field; raise a built-in exception"),
    ("method decorators", "use a plain method, or a function outside the class"),
    ("async context managers", "use asyncio.gather; the number of calls in flight is bounded for you"),
    ("async for", "await the list first, then use a plain for"),
    ("'del'", "assign None, or use dict.pop or a new list"),
    ("exception groups", "use a plain except"),
    ("Wildcard imports", "name what you import"),
)
_NAME_HINTS = {
    "asyncio.create_task": "keep the coroutine and await it with asyncio.gather",
    "asyncio.wait_for": "await the call itself; it has its own deadline",
    "asyncio.as_completed": "use asyncio.gather, then go through the results",
    "asyncio.TaskGroup": "use asyncio.gather",
    "asyncio.Semaphore": "use asyncio.gather; the number of calls in flight is bounded for you",
    "asyncio.wait": "use asyncio.gather",
    "collections.OrderedDict": "use dict: it keeps its order",
    "dataclasses.asdict": "return the object: its attributes become a dictionary",
    "json.JSONEncoder": "convert the values first",
    "str.maketrans": "use str.replace",
}
_MODULE_HINTS = {
    "statistics": "compute it: sum(xs) / len(xs), sorted(xs)[len(xs) // 2]",
    "urllib": "build the text with an f-string, or use re",
    "uuid": "use random and hashlib",
    "io": "build a list of lines and join them",
    "heapq": "use sorted(…)[:n]",
    "operator": "use a lambda",
    "copy": "use list(…), dict(…), or json.loads(json.dumps(…))",
    "string": "write the characters out",
    "textwrap": "slice the text",
    "zoneinfo": "use datetime.timezone with an offset",
    "traceback": "use str(error)",
    "pprint": "return the value: it is shown as JSON",
    "enum": "use plain constants",
    "requests": "call the tools of the servers; search() lists them",
    "httpx": "call the tools of the servers; search() lists them",
    "subprocess": "no processes can be started here",
    "numpy": "use lists",
    "pandas": "use lists and dictionaries",
}
_LIMIT_WORDS = {
    "cpu_s": "processor time of {} s is used up",
    "wall_s": "the time limit of {} s is over",
    "memory_bytes": "more memory than {} bytes",
    "recursion": "recursion deeper than {} calls",
    "source_bytes": "the program is longer than {} bytes",
    "calls": "more than {} calls in one program",
    "argument_bytes": "the arguments of one call are larger than {} bytes",
    "result_bytes": "the result is larger than {} bytes",
    "nodes": "more than {} values in one result or in the arguments of one call",
    "depth": "a value nested more than {} deep",
    "snapshot_bytes": "the program holds more than {} bytes where it has to wait for a person",
}
_LIMIT_HINTS = {
    "cpu_s": "do less work in one program",
    "wall_s": "make calls concurrently with asyncio.gather, or do less in one program",
    "memory_bytes": "keep less in memory: filter as you go",
    "calls": "filter in the tool's own arguments instead of one call for each item",
    "result_bytes": "filter or aggregate, and return less",
    "nodes": "filter or aggregate, and pass less",
    "snapshot_bytes": "make such calls first, or keep less until they are made",
}


def from_error(error: ErrorEvent, code: str, limits: Limits, *, called: bool, known: Sequence[str]) -> Failure:
    """Return the Failure that a Python exception in the program means.

    What the worker refused before anything ran is ``invalid``, and so is a module that does not exist, unless a call
    was made before (``called``). ``known`` names the modules that could have been imported.
    """
    # A place that the parser points at is in no function; whatever a program raises comes from <module> at the least.
    ran = any(frame.function for frame in error.frames)
    message, name = error.message[:MAX_MESSAGE_CHARS], error.error[:MAX_NAME_CHARS]
    said = f"{name}: {message}" if message else name
    line = next((frame.line for frame in reversed(error.frames) if _own(frame)), None)
    trace = traceback(error.frames, code, said, error.omitted)
    limit = _limit(error)
    if limit:
        return over_limit(limit, limits, line=line, trace=trace)
    if not ran and error.error == "SyntaxError":
        return Failure("invalid", said, trace, line=line)
    if not ran and error.error == "NotImplementedError":
        found = _unsupported(message)
        return Failure("invalid", found, traceback(error.frames, code, found, error.omitted), line=line)
    missing = error.error in {"ModuleNotFoundError", "ImportError"} and not called
    return Failure("invalid" if missing else "raised", said, trace, line=line, hint=_hint(error, known))


def over_limit(limit: str, limits: Limits, *, line: int | None = None, trace: str = "") -> Failure:
    """Return the Failure for a bound of ``limits`` that was exceeded, with what to do about it."""
    allowed = getattr(limits, limit)
    words = _LIMIT_WORDS[limit].format(f"{allowed:g}" if isinstance(allowed, float) else f"{allowed:,}")
    hint = _LIMIT_HINTS.get(limit)
    return Failure("limit", f"limit {limit}: {words}" + (f"; {hint}" if hint else ""), trace, limit, line)


def over_budget(error: OverBudget, limits: Limits) -> Failure:
    """Return the Failure for a result that was too large."""
    return over_limit(error.limit, limits)


def traceback(frames: Sequence[Frame], code: str, last: str, omitted: int = 0) -> str:
    """Return a traceback as Python prints it, with the program's own lines, or "" when there is no frame to show.

    ``omitted`` frames are left out in the middle of ``frames`` already.
    """
    shown = [frame for frame in frames if _own(frame)]
    if not shown:
        return ""
    lines = code.split("\n")
    out = ["Traceback (most recent call last):"]
    head, tail = shown[: MAX_FRAMES // 2], shown[MAX_FRAMES // 2 :][-MAX_FRAMES // 2 :]
    for frame in head:
        out += _frame(frame, lines)
    if len(head) + len(tail) < len(shown):
        out.append(f"  … {len(shown) - len(head) - len(tail) + omitted} frames more")
    for frame in tail:
        out += _frame(frame, lines)
    return "\n".join([*out, last])


def _frame(frame: Frame, lines: Sequence[str]) -> list[str]:
    where = f", in {frame.function[:MAX_NAME_CHARS]}" if frame.function else ""
    out = [f'  File "program.py", line {frame.line}{where}']
    if not 1 <= frame.line <= len(lines):
        return out
    source = lines[frame.line - 1].rstrip()
    indent = len(source) - len(source.lstrip())
    out.append(f"    {source.strip()[:MAX_SOURCE_CHARS]}")
    start, end = frame.column - 1 - indent, frame.end_column - 1 - indent
    if frame.carets and frame.end_line == frame.line and 0 <= start < end <= MAX_SOURCE_CHARS:
        out.append("    " + " " * start + "~" * (end - start))
    return out


def _own(frame: Frame) -> bool:
    return frame.filename.startswith(_FEED_FILE)


def _limit(error: ErrorEvent) -> str:
    if error.error == "TimeoutError" and not error.frames and "time limit exceeded" in error.message:
        return "cpu_s"
    if error.error == "MemoryError" and error.message.startswith("memory limit exceeded"):
        return "memory_bytes"
    if error.error == "RecursionError" and error.message.startswith("maximum recursion depth exceeded"):
        return "recursion"
    return ""


def _unsupported(message: str) -> str:
    match = _UNSUPPORTED.match(message)
    what = f"{match.group(1)} cannot be used here" if match else message
    hint = next((hint for word, hint in _SYNTAX_HINTS if word in what), "write it another way")
    return f"SyntaxError: {what}; {hint}"


def _hint(error: ErrorEvent, known: Sequence[str]) -> str:
    if error.error == "ModuleNotFoundError" and (match := _NO_MODULE.match(error.message)):
        servers = ", ".join(sorted(known)[:20])
        return _MODULE_HINTS.get(match.group(1).split(".")[0]) or (
            f"servers that this program may import: {servers}" if servers else ""
        )
    if error.error == "AttributeError" and (match := _NO_ATTRIBUTE.match(error.message)):
        return _NAME_HINTS.get(f"{match.group(1)}.{match.group(2)}", "")
    if error.error == "ImportError" and (match := _NO_IMPORT.match(error.message)):
        return _NAME_HINTS.get(f"{match.group(2)}.{match.group(1)}", "")
    if error.error == "NotImplementedError" and "gather()" in error.message:
        return "catch the error inside each coroutine: wrap the call in an async def with try/except"
    return ""
