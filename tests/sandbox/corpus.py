"""Programs that mean harm, as data: hostile_programs/*.txt, a file for each category.

    === name | monty: memory_bytes crashed | cpython: memory_bytes | attempt
    source

After the name: on which engines it runs and every way it may end there; then how it is to be read. An end is
``value``, the name of a limit, or the kind of a failure; ``stopped`` stands for time or memory, whichever is up first. Of an ``attempt`` it is the exception that it must meet; were
there none, its value would be "escaped". A ``native`` program is one expression that is true when the kernel gave way;
its end is the kernel's answer. ``frames`` programs write to the sandbox's own line. ``{…}`` names a bait (baits.py).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from portal.sandbox.contract import Engine, Limits, Outcome

FOLDER = Path(__file__).parent / "hostile_programs"
ENGINES: tuple[Engine, ...] = ("monty", "cpython")
Reading = Literal["", "attempt", "native", "frames"]

_ENTRY = re.compile(r"^=== (.+)\n((?:(?!=== ).*\n)*)", re.MULTILINE)
_NATIVE = (FOLDER / "preambles" / "native.txt").read_text("utf-8")
_FRAMES = (FOLDER / "preambles" / "frames.txt").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Case:
    """One program. ``ends`` holds, for each engine that it runs on, the ways it may end."""

    category: str
    name: str
    source: str
    ends: Mapping[Engine, frozenset[str]]
    reading: Reading = ""

    @property
    def id(self) -> str:
        return f"{self.category}: {self.name}"

    def program(self, baits: Mapping[str, str], engine: Engine) -> str:
        """Return the program as it is submitted."""
        source = re.sub(r"\{bait_(\w+)\}", lambda found: baits[found[1]], self.source)
        if self.reading == "attempt":
            indented = source.rstrip("\n").replace("\n", "\n    ")
            source = (
                f"try:\n    {indented}\n    r = 'escaped'\nexcept BaseException as e:\n    r = type(e).__name__\nr\n"
            )
        elif self.reading == "native":
            source = f"{_NATIVE}'escaped' if ({source.strip()}) else ctypes.get_errno()\n"
        elif self.reading == "frames":
            source = _FRAMES + source
        return f"# engine: cpython\n{source}" if engine == "cpython" else source

    def end(self, outcome: Outcome) -> str:
        """Return how it ended, in the words of the corpus."""
        failure = outcome.failure
        if failure is not None:
            return (
                failure.kind if failure.kind != "limit" else (failure.limit if failure.limit in LIMITS else "revoked")
            )
        if self.reading == "attempt":
            return str(outcome.value)
        if self.reading == "native":
            return errno.errorcode.get(outcome.value, str(outcome.value))
        return "value"


LIMITS = frozenset(Limits.__slots__)
_STOPPED = {"cpu_s", "memory_bytes"}


def read(file: Path) -> list[Case]:
    """Return the programs of one category."""
    return [_case(file.stem, head, body) for head, body in _ENTRY.findall(file.read_text("utf-8"))]


def _case(category: str, head: str, body: str) -> Case:
    name, *notes = (part.strip() for part in head.split(" | "))
    ends: dict[Engine, frozenset[str]] = {}
    reading: Any = ""
    for note in notes:
        engine, colon, words = note.partition(":")
        if colon:
            ends[ENGINES[ENGINES.index(engine)]] = _words(words)
        else:
            reading = note
    if not ends or not all(ends.values()) or reading not in {"", "attempt", "native", "frames"}:
        raise ValueError(f"{category}: {name}: how may it end?")
    return Case(category, name, body, ends, reading)


def _words(ends: str) -> frozenset[str]:
    found = frozenset(ends.split())
    return found | _STOPPED if "stopped" in found else found


def computed() -> list[Case]:
    """Return the programs that no text file can hold, or only at length."""
    programs = {
        "half a surrogate pair": ("x = '\ud800'", "invalid"),
        "NUL": ("x = 1\0", "invalid"),
        "longer than allowed": ("#" * 70_000, "source_bytes"),
        "parentheses within parentheses": ("(" * 5000 + "1" + ")" * 5000, "invalid raised"),
        "lists within lists": ("[" * 20_000 + "]" * 20_000, "invalid raised"),
        "signs before signs": ("-" * 30_000 + "1", "invalid raised value crashed"),
        "a sum without end": ("+".join(["1"] * 20_000), "invalid raised value crashed"),
        "calls of calls": ("f" + "()" * 20_000, "invalid raised crashed"),
        "attributes of attributes": ("f" + ".a" * 20_000, "invalid raised crashed"),
        "blocks within blocks": (
            "\n".join(" " * n + "if 1:" for n in range(300)) + "\n" + " " * 300 + "1",
            "invalid raised",
        ),
        "a text of texts within texts": ("f'" + "{f'" * 200 + "1" + "'}" * 200 + "'", "invalid value"),
        "comparisons chained": ("1" + "<1" * 20_000, "invalid raised value crashed stopped"),
        "a lambda in a lambda": ("lambda:" * 8_000 + "1", "invalid raised value crashed"),
        "an await of awaits": ("await " * 8_000 + "x", "invalid raised crashed"),
        "eight thousand names": (";".join(f"a{i}=1" for i in range(8000)), "value invalid stopped"),
        "five thousand parameters": (f"def f({','.join(f'a{i}' for i in range(5000))}): pass", "value invalid"),
        "five thousand decorators": (
            "def d(f): return f\n" + "@d\n" * 5000 + "def f(): pass",
            "value recursion invalid",
        ),
        "a number of sixty thousand digits": ("9" * 60_000, "invalid value stopped"),
        "a number of sixty thousand hexadecimal digits": ("0x" + "f" * 60_000 + " and 0", "invalid value"),
        "a name of sixty thousand letters": ("a" * 60_000, "raised"),
        "letters that look like others": ("\uff49\uff4d\uff50\uff4f\uff52\uff54 os", "invalid value"),
        "text that turns around": ("x = 1 #\u202e\nx", "value"),
        "a byte order mark": ("\ufeff1", "invalid value"),
        "a form feed": ("\x0c1", "invalid value"),
        "mixed line ends": ("x = 1\r\ny = 2\rz = 3\nx", "invalid value"),
        "an encoding of its own": ("# -*- coding: utf-7 -*-\n1", "value"),
        "line ends that are none": ("x = 1\u2028y = 2\x85z = 3", "invalid"),
        "a tab beneath a space": ("if 1:\n        x = 1\n\tx = 2", "invalid raised value"),
        "nothing": ("", "value"),
    }
    return [
        Case("source", name, source, dict.fromkeys(ENGINES, _words(ends))) for name, (source, ends) in programs.items()
    ]


def corpus() -> list[Case]:
    """Return every program."""
    return [case for file in sorted(FOLDER.glob("*.txt")) for case in read(file)] + computed()
