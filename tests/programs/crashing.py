"""A process that does one thing with a paused program and is killed (signal 9) at a named point of it.

``run(folder, action, pause_id, point)``, where a point is ``before:Class.method`` or ``after:Class.method``. The desk notes every call in a file of the folder before it answers.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mcp_types as t
from mcp.server import ServerRequestContext

from portal.audit.audit import Audit, CallEntry, ProgramLog
from portal.gate.session import Session
from portal.programs import pauses
from portal.programs.pauses import Pauses, Person
from portal.sandbox.contract import Outcome, SandboxUnavailable
from portal.sandbox.monty import MontySandbox
from portal.upstream.registry import Upstreams
from tests.programs.standing import WRITER, Desk, Standing, standing
from tests.upstream.serving import text as said

ADA = replace(WRITER, grant_id="grant-1")
POLICY = """\
@id("drops-after-a-yes")
@ask("Dropping cannot be undone.")
permit (principal in Role::"writer", action == Action::"destructive", resource);
"""
HELD = "# engine: cpython\n"
PLACES: dict[str, Any] = {
    kind.__name__: kind for kind in (Audit, CallEntry, MontySandbox, Pauses, ProgramLog, Session, Upstreams)
} | {"pauses": pauses}


class Noting(Desk):
    """A desk whose calls outlive its process."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    async def call(self, _ctx: ServerRequestContext[Any], params: t.CallToolRequestParams) -> t.CallToolResult:
        line = f"{params.name} {(params.arguments or {}).get('name', '')}\n".encode()
        handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line)
        os.close(handle)
        return said("true")


def code(mark: str) -> str:
    """A program that writes, asks, and writes again."""
    return f"import desk\nawait desk.add_item(name='{mark}')\nawait desk.drop_item(name='{mark}')\n'{mark}'"


def opened(folder: Path, instance: str, *, engines: bool = False) -> AbstractAsyncContextManager[Standing]:
    """Open everything over the folder's database, with the desk that notes."""
    policy = folder / "asking.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    return standing(
        folder,
        desk=Noting(folder / "calls"),
        policies=[policy],
        instance=instance,
        pausing={"per_person": 100},
        per_principal=100,
        engines=engines,
    )


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(point: str) -> Callable[[], None]:
    """Return what makes this process die when it reaches ``point``."""
    when, _, where = point.partition(":")
    place, _, name = where.partition(".")
    owner = PLACES[place]
    original = getattr(owner, name)

    async def dies(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        await original(*args, **kwargs)
        return die()

    def dies_at_once(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        original(*args, **kwargs)
        return die()

    return lambda: setattr(owner, name, dies if inspect.iscoroutinefunction(original) else dies_at_once)


async def main(folder: Path, action: str, pause_id: str, point: str) -> None:
    async with opened(folder, point, engines=action.startswith("held")) as stand:
        if action == "held, resumed":
            pause_id = (await stand.programs.execute(ADA, HELD + code(point))).text.split('resume="')[1].split('"')[0]
            await decide(stand, pause_id)
        dying(point)()
        if action == "held":
            await stand.programs.execute(ADA, HELD + code(point))
        elif action == "held, resumed":
            await stand.programs.resume(ADA, pause_id)
        elif action == "pause":
            await stand.programs.execute(ADA, code(point))
        elif action == "decide":
            await decide(stand, pause_id)
        elif action == "resume":
            await stand.programs.resume(ADA, pause_id)
        elif action == "without a worker":
            stand.sandbox.resume = _busy
            await stand.programs.resume(ADA, pause_id)


async def _busy(*_: Any) -> Outcome:
    raise SandboxUnavailable("busy")


async def decide(stand: Standing, pause_id: str) -> bool:
    """Let the person allow everything."""
    person = Person.of(ADA)
    asked = await stand.pauses.asked(person, pause_id)
    return asked is not None and await stand.pauses.decide(person, pause_id, [c.id for c in asked.pending], how="page")


def run(folder: Path, action: str, pause_id: str, point: str) -> None:
    """Do it: the target of a process."""
    asyncio.run(main(folder, action, pause_id, point))
