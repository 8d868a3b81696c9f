"""One module with a few functions, a recording dispatch, and sandboxes to run programs in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from portal.sandbox.contract import CallFailed, CallRevoked, Function, Limits, Module, Options
from portal.sandbox.monty import MontySandbox

STUBS = """\
from typing import Any

async def echo(value: Any = None, other: int = 0) -> Any: ...
async def fail(message: str) -> Any: ...
async def revoke() -> Any: ...
async def block(value: Any = None) -> Any: ...
async def big(size: int) -> Any: ...
"""
DESK = Module(
    "desk",
    (
        Function("echo", ("value", "other")),
        Function("fail", ("message",)),
        Function("revoke", ()),
        Function("block", ("value",)),
        Function("big", ("size",)),
    ),
    STUBS,
)
LIMITS = Limits(wall_s=20.0, cpu_s=2.0, memory_bytes=64 * 1024 * 1024)


class Desk:
    """Dispatches to functions that do what their names say, and remembers everything."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.running = 0
        self.most_running = 0
        self.cancelled = 0
        self.blocked = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self, module: str, function: str, arguments: dict[str, Any]) -> Any:
        assert module == "desk"
        self.seen.append((function, arguments))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._do(function, arguments)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _do(self, function: str, arguments: dict[str, Any]) -> Any:
        if function == "fail":
            raise CallFailed(arguments["message"], "ValueError")
        if function == "revoke":
            raise CallRevoked("writes_per_program", "the budget is spent")
        if function == "block":
            self.blocked.set()
            await self.gate.wait()
            return "through"
        if function == "big":
            return ["x" * 100] * arguments["size"]
        await asyncio.sleep(0)
        return arguments.get("value")


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended in this moment
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    """Without the jail, which tests/sandbox/test_jail.py and test_hostile.py are about."""
    async with MontySandbox(Options(jail="off", min_workers=2, max_workers=8)) as opened:
        yield opened
