"""What a program may use without importing it: ``load``, ``save``, ``each`` and ``table``.

They are Python that runs in the worker, fed before a program that names one of them, in a text of its own, so that no
line of the program moves. A name that the program binds itself is the program's. What ``load`` and ``save`` need of the
portal reaches a Dispatch as calls of the module HOST, which no server can be called.

What is loaded crosses as JSON text and is parsed in the worker: that takes a fifth of the time of passing the value,
and hardly any of the portal's.
"""

from __future__ import annotations

import itertools
import re

from portal.sandbox.contract import Function

HOST = ""
"""The module that LOAD and SAVE belong to."""

LOAD, SAVE = "__load__", "__save__"
FUNCTIONS = (Function(LOAD, ("handle",)), Function(SAVE, ("value",)))
"""``LOAD(handle)`` returns JSON text, ``SAVE(value)`` a handle: plain functions, answered at once."""

NAMES = ("load", "save", "each", "table")

_KEEPING = """\
{load}def load(handle):
    import json

    return json.loads(__load__(handle))


{save}def save(value):
    return __save__(value)


"""

_HELPING = """\
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

_NAMED = re.compile(rf"\b(?:{'|'.join(NAMES)})\b")
_AWAITED = {name: (re.compile(rf"\b{name}\s*\("), re.compile(rf"\bawait\s+{name}\s*\(")) for name in ("load", "save")}
_PRELUDES = {
    frozenset(names): _KEEPING.format(**{name: "async " if name in names else "" for name in _AWAITED}) + _HELPING
    for names in itertools.chain.from_iterable(itertools.combinations(_AWAITED, n) for n in range(3))
}
PRELUDES = tuple(_PRELUDES.values())
"""Every text that ``prelude`` returns but "", for who wants to compile them in time."""


def prelude(code: str) -> str:
    """Return what to run before the program, "" when it names none of NAMES.

    ``load`` and ``save`` are plain functions. Tools are not, so an ``await`` too many is a mistake that is easily made:
    where a program awaits one wherever it calls it, that one is something to await.
    """
    if _NAMED.search(code) is None:
        return ""
    return _PRELUDES[
        frozenset(
            name
            for name, (called, awaited) in _AWAITED.items()
            if name in code and 0 < len(called.findall(code)) == len(awaited.findall(code))
        )
    ]
