"""What a program may use without importing it: ``load``, ``save``, ``each`` and ``table``.

``load`` and ``save`` are answered by the portal: they reach a Dispatch as calls of the module HOST, which no server can
be called. ``each`` and ``table`` are Python (PRELUDE) that runs in the worker, fed before a program that names them, in
a text of its own, so that no line of the program moves. A name that the program binds itself is the program's.
"""

from __future__ import annotations

import re

from portal.sandbox.contract import Function

HOST = ""
"""The module that ``load`` and ``save`` belong to."""

FUNCTIONS = (Function("load", ("handle",)), Function("save", ("value",)))
NAMES = ("load", "save", "each", "table")

PRELUDE = """\
async def each(items, fn, at_once=8):
    import asyncio

    todo = list(items)
    if at_once < 1:
        raise ValueError("each(): at_once must be at least 1")
    found = [None] * len(todo)
    failed = []
    begun = [0]

    async def work():
        while begun[0] < len(todo) and not failed:
            place = begun[0]
            begun[0] = place + 1
            try:
                value = fn(todo[place])
                plain = value is None or isinstance(value, (bool, int, float, str, list, dict, tuple))
                found[place] = value if plain else await value
            except Exception as error:
                failed.append((place, error))

    await asyncio.gather(*[work() for _ in range(min(at_once, len(todo)))])
    if failed:
        raise min(failed, key=lambda one: one[0])[1]
    return found


def table(rows, columns=None):
    rows = list(rows)
    if columns is None:
        names = {}
        for row in rows:
            if not isinstance(row, dict):
                raise ValueError("table(): give columns=[...] for rows that are not dictionaries")
            for name in row:
                names[name] = None
        columns = list(names)

    def cell(value):
        text = "" if value is None else str(value)
        if len(text) > 200:
            text = text[:199] + "\\u2026"
        text = text.replace("\\\\", "\\\\\\\\").replace("|", "\\\\|")
        return "<br>".join(text.splitlines())

    def line(values):
        return "| " + " | ".join([cell(value) for value in values]) + " |"

    lines = [line(columns), "|" + "---|" * len(columns)]
    for row in rows:
        lines.append(line([row.get(name) for name in columns] if isinstance(row, dict) else list(row)))
    return "\\n".join(lines)
"""

STUBS = {
    "load": "def load(handle: str) -> __t.Any: ...",
    "save": "def save(value: __t.Any) -> __t.Any: ...",
    "each": "async def each[T](items: __t.Iterable[T], fn: __t.Callable[[T], __t.Any], at_once: int = 8)"
    " -> list[__t.Any]: ...",
    "table": "def table(rows: __t.Iterable[__t.Any], columns: __t.Sequence[str] | None = None) -> str: ...",
}
STUBS_IMPORT = "import typing as __t"
"""What the stubs need, under a name that no program uses."""

_PRELUDE_NAME = re.compile(r"\b(?:each|table)\b")
_AWAITED = {f.name: (re.compile(rf"\b{f.name}\s*\("), re.compile(rf"\bawait\s+{f.name}\s*\(")) for f in FUNCTIONS}


def wants_prelude(code: str) -> bool:
    """Say whether the program may use what PRELUDE defines."""
    return _PRELUDE_NAME.search(code) is not None


def awaited(code: str) -> frozenset[str]:
    """Return which of FUNCTIONS the program awaits wherever it calls them: those must answer with something to await.

    They are plain functions. Tools are not, so an ``await`` too many is a mistake that is easily made, and forgiven.
    """
    return frozenset(
        name
        for name, (called, waited) in _AWAITED.items()
        if name in code and 0 < len(called.findall(code)) == len(waited.findall(code))
    )
