"""One child, one program: told its limits, given the program, gone. It runs inside the jail that zygote.py closed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import linecache
import os
import resource
import signal
import sys
import time
import traceback
import types
import warnings
from collections.abc import Sequence
from typing import Any

from portal.sandbox.cpython import line as wire
from portal.sandbox.cpython.line import Line, complete_event, error_event
from portal.sandbox.cpython.loop import Calls, Policy
from portal.sandbox.cpython.preload import withhold
from portal.sandbox.cpython.source import ENTRY, FILE, STAR, compiled
from portal.sandbox.cpython.values import shown
from portal.sandbox.events import Kind
from portal.sandbox.helpers import FUNCTIONS, NAMES, PRELUDES, prelude
from portal.sandbox.wire import BYTES, VARINT, fields, text

MAX_FRAMES = 40
_RESERVE_BYTES = 4 * 1024 * 1024
"""What is kept back, untouched, to say in that memory has run out: a few of the allocator's arenas."""

_OWN_BYTES = 24 * 1024 * 1024 + _RESERVE_BYTES
_OWN_FRAMES = 60
_CPU_GRACE_S = 2
_PRELUDES = {text: compile(text, "<helpers>", "exec") for text in PRELUDES}


_REHEARSED = """
import asyncio
class A:
    def b(self):
        return [f"{c}" for c in range(2)]
async def d():
    await asyncio.sleep(0)
    return A().b()
def e():
    yield from sorted({"k": 1}.items())
print(*await asyncio.gather(d(), d()), list(e()))
{"value": [1, 2.5, "text", None]}
"""


def rehearse() -> None:
    """Run a program that says nothing to anybody, with no line to the portal.

    Python learns from it what its own code is used for; and each page of memory that a program needs is this process's
    own afterwards, where else the kernel would copy it while somebody waits.
    """
    line = Line(lambda name: name, silent=True)
    with contextlib.redirect_stdout(Printed(line)):
        module = types.ModuleType("__main__")
        asyncio.set_event_loop_policy(Policy(Calls(line)))
        program = compiled(_REHEARSED)
        value = _value(program.code, module, awaits=program.awaits)
        line.send(Kind.COMPLETE, complete_event(value))


def serve(base_bytes: int) -> None:
    """Serve one program and wait to be killed. ``base_bytes`` of address space are in use already."""
    line = Line(lambda name: name)
    calls = Calls(line)
    module = _surroundings(line, calls)
    rehearse()
    asyncio.set_event_loop_policy(Policy(calls))
    line.send(Kind.OK, b"")
    request = line.receive()
    if request.kind == wire.CONFIGURE:
        _confine(request.body, line, base_bytes)
        line.send(Kind.OK, b"")
        request = line.receive()
    if request.kind == wire.FEED:
        _run(next(text(part) for number, _, _, part in fields(request.body) if number == 1), line, module)
    line.rest()


def _confine(body: memoryview, line: Line, base_bytes: int) -> None:
    bounds = next(part for number, kind, _, part in fields(body) if number == 2 and kind == BYTES)
    limits = {number: value for number, kind, value, _ in fields(bounds) if kind == VARINT}
    memory_bytes, recursion, cpu_s = limits.get(2, 0), limits.get(4, 0), limits.get(6, 0) / 1_000_000
    # Only downwards: nothing that runs later can raise a hard limit again.
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    address_bytes = min(most, base_bytes + _OWN_BYTES + memory_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
    whole_s = int(cpu_s) + _CPU_GRACE_S
    resource.setrlimit(resource.RLIMIT_CPU, (whole_s, whole_s))
    sys.setrecursionlimit(recursion + _OWN_FRAMES)
    signal.signal(signal.SIGPROF, lambda _signal, _frame: line.give_up())
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _run(source: str, line: Line, module: types.ModuleType) -> None:
    try:
        program = compiled(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        number = getattr(error, "lineno", None) or 1
        said = getattr(error, "msg", None) or str(error) or "the program is nested too deeply"
        line.send(Kind.ERROR, error_event("SyntaxError", said, [(number, 0, number, 0, "", FILE)]))
        return
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    module.__dict__.update(_helpers(source, line))
    reserve = bytes(_RESERVE_BYTES)
    line.cpu_start_s = time.process_time()
    try:
        value = _value(program.code, module, awaits=program.awaits)
        body = complete_event(value)
    except SystemExit as error:
        if error.code in {None, 0}:
            line.send(Kind.COMPLETE, complete_event(None))
        else:
            line.send(Kind.ERROR, _error(error))
    except MemoryError as error:
        del reserve
        line.send(Kind.ERROR, error_event("MemoryError", "memory limit exceeded", _frames(error)))
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its outcome
        line.send(Kind.ERROR, _error(error))
    else:
        line.send(Kind.COMPLETE, body)


def _value(code: types.CodeType, module: types.ModuleType, *, awaits: bool) -> object:
    exec(code, module.__dict__)  # noqa: S102 - the jail is for exactly this
    entry = module.__dict__[ENTRY]
    if awaits:
        return asyncio.run(entry())
    value = entry()
    return asyncio.run(value) if isinstance(value, types.CoroutineType) else value


def _surroundings(line: Line, calls: Calls) -> types.ModuleType:
    """Return the module that a program will be, in a process that looks as a program expects it."""
    sys.stdout = sys.stderr = Printed(line)
    sys.stdin = io.StringIO()
    sys.argv = ["program.py"]
    os.environ.clear()
    warnings.simplefilter("ignore")
    sys.meta_path[:] = [Servers(line, calls)]
    withhold()
    time.sleep = lambda seconds, /: _sleep(line, float(seconds))
    module = types.ModuleType("__main__")
    module.__dict__.update({STAR: lambda name: _import_star(name, module), "exit": sys.exit, "quit": sys.exit})
    sys.modules["__main__"] = module
    return module


def _helpers(source: str, line: Line) -> dict[str, object]:
    """Return what a program may use without importing it (helpers.py)."""
    text = prelude(source)
    if not text:
        return {}
    # Of their own, so that no name of the program reaches into them.
    found: dict[str, Any] = {function.name: _plain(line, function.name) for function in FUNCTIONS}
    exec(_PRELUDES[text], found)  # noqa: S102 - our own text
    return {name: found[name] for name in NAMES}


def _plain(line: Line, name: str) -> Any:
    def call(*args: object, **kwargs: object) -> Any:
        _, answer = line.call(name, args, kwargs)
        if answer.error is not None:
            raise answer.error
        return answer.value

    call.__name__ = call.__qualname__ = name
    return call


def _sleep(line: Line, seconds: float) -> None:
    if not 0 <= seconds < 1e9:
        raise ValueError("sleep length must be a number of seconds that is not negative")
    line.sleep(seconds, wait=True)


def _import_star(name: str, module: types.ModuleType) -> None:
    found = importlib.import_module(name)
    names = getattr(found, "__all__", None) or [key for key in vars(found) if not key.startswith("_")]
    module.__dict__.update({key: getattr(found, key) for key in names})


class Printed(io.TextIOBase):
    """What a program prints, sent to the portal."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def write(self, written: str, /) -> int:
        """Take text."""
        self._line.print(str(written))
        return len(written)

    def writable(self) -> bool:
        """Say yes."""
        return True


class Servers:
    """Finds the modules of servers by asking the portal; everything else that can be imported is loaded already."""

    def __init__(self, line: Line, calls: Calls) -> None:
        self._line = line
        self._calls = calls

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a server, None for what does not exist."""
        del target
        if path is not None or "." in name:
            return None
        functions = self._line.load(name)
        if functions is None:
            return None
        return importlib.util.spec_from_loader(name, _Loader(self._calls, functions))


class _Loader(importlib.abc.Loader):
    def __init__(self, calls: Calls, functions: dict[str, object]) -> None:
        self._calls = calls
        self._functions = functions

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Leave it to the import system."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill the module with async functions."""
        for name, full in self._functions.items():
            setattr(module, name, _function(self._calls, name, str(full)))


def _function(calls: Calls, name: str, full: str) -> Any:
    async def call(*args: object, **kwargs: object) -> Any:
        return await calls.make(full, args, kwargs)

    call.__name__, call.__qualname__ = name, full
    return call


def _error(error: BaseException) -> bytes:
    return error_event(type(error).__name__, _message(error), _frames(error))


def _message(error: BaseException) -> str:
    said = shown(str, error)
    if isinstance(error, BaseExceptionGroup):
        # What went wrong stands inside.
        inner = "; ".join(f"{type(e).__name__}: {shown(str, e)}" for e in error.exceptions[:5])
        return f"{said}: {inner}"
    return said


def _frames(error: BaseException) -> list[tuple[int, int, int, int, str, str]]:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    found = [
        (
            frame.lineno or 1,
            (frame.colno or 0) + 1,
            frame.end_lineno or frame.lineno or 1,
            (frame.end_colno or 0) + 1,
            "<module>" if frame.name == ENTRY else frame.name,
            FILE,
        )
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == FILE
    ]
    return found if len(found) <= MAX_FRAMES else found[: MAX_FRAMES // 2] + found[-MAX_FRAMES // 2 :]
