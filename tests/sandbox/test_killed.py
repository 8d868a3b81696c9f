"""A worker killed at any step of its conversation costs exactly its own program, and its place is filled unasked."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from portal.sandbox.contract import Engine, Options, Outcome
from portal.sandbox.cpython.sandbox import CPythonSandbox
from portal.sandbox.events import System, SystemEvent
from portal.sandbox.monty import MontySandbox
from portal.sandbox.program import Program
from portal.sandbox.worker import Worker
from tests.sandbox.conftest import DESK, LIMITS, Desk
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]

WARM = 2
CALLING = "import desk\nawait desk.echo(1)\nawait desk.echo(2)\n1"
CODE = {
    "taken": "1",
    "fed": "while True: pass",
    "importing": CALLING,
    "calling": "import desk\nawait desk.block()",
    "answered": CALLING,
    "waiting for several": "import asyncio, desk\nawait asyncio.gather(desk.block(), desk.block())",
    "sleeping": "import asyncio\nawait asyncio.sleep(30)",
    "printing": "for n in range(100_000): print('x' * 100)",
    "completing": "['x' * 1000 + str(n) for n in range(3000)]",
}
SENT = {"fed": 1, "importing": 2, "answered": 3}
"""After how many writes it is killed. The first holds the limits and the program."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes() -> AsyncIterator[dict[Engine, Any]]:
    options = Options(jail="require", min_workers=WARM, max_workers=4, warm_children=WARM)
    async with MontySandbox(options) as monty, CPythonSandbox(options) as cpython:
        yield {"monty": monty, "cpython": cpython}


class Killer:
    """Kills the first worker that comes to a step, and waits until it is dead."""

    def __init__(self) -> None:
        self.victim: Worker | None = None
        self.speaking: list[Worker] = []

    def strike(self, worker: Worker) -> None:
        if self.victim is None:
            self.victim = worker
            worker.kill()
            worker._process.wait()


def armed(step: str, killer: Killer, patch: pytest.MonkeyPatch) -> None:
    """Arrange for the kill. What follows is as it would be without."""
    send, print_, read, system = Worker.send, Program._print, asyncio.StreamReader.readexactly, Program._system
    sent: dict[int, int] = {}
    holder: dict[asyncio.StreamReader, Worker] = {}

    def counting(self: Worker, *requests: bytes) -> None:
        holder[self._reader] = self
        killer.speaking.append(self)
        sent[id(self)] = sent.get(id(self), 0) + 1
        if step == "taken" and sent[id(self)] == 1:
            killer.strike(self)
        send(self, *requests)
        if sent[id(self)] == SENT.get(step):
            killer.strike(self)

    def printing(self: Program, event: Any) -> None:
        if step == "printing":
            killer.strike(self._worker)
        print_(self, event)

    async def reading(self: asyncio.StreamReader, size: int) -> bytes:
        found = await read(self, size)
        if step == "completing" and size == 4 and struct.unpack("<I", found)[0] > 1_000_000:
            killer.strike(holder[self])
        return found

    async def sleeping(self: Program, call: SystemEvent) -> bytes:
        if step == "sleeping" and call.operation in {System.SLEEP, System.ASYNC_SLEEP}:
            killer.strike(self._worker)
        return await system(self, call)

    patch.setattr(Worker, "send", counting)
    patch.setattr(Program, "_print", printing)
    patch.setattr(asyncio.StreamReader, "readexactly", reading)
    patch.setattr(Program, "_system", sleeping)


def idle(sandbox: Any) -> int:
    return sandbox.idle if isinstance(sandbox, CPythonSandbox) else sandbox._runners.idle


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("step", CODE)
@pytest.mark.parametrize("engine", ["monty", "cpython"])
async def test_a_killed_worker_costs_one_program(
    sandboxes: dict[Engine, Any], engine: Engine, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, killer, desk, beside = sandboxes[engine], Killer(), Desk(), Desk()
    await until(lambda: idle(sandbox) >= WARM)

    async def run(code: str, desk: Desk) -> Outcome:
        outcome: Outcome = await sandbox.run(code, [DESK], desk, LIMITS)
        return outcome

    neighbour = asyncio.create_task(run("import desk\nawait desk.block()", beside))
    await beside.blocked.wait()
    with monkeypatch.context() as patch:
        armed(step, killer, patch)
        program = asyncio.create_task(run(CODE[step], desk))
        if step in {"calling", "waiting for several"}:
            await desk.blocked.wait()
            killer.strike(killer.speaking[-1])
        outcome = await program
    assert outcome.failure is not None
    assert outcome.failure.kind == "crashed", outcome
    assert killer.victim is not None
    assert desk.running == 0
    beside.gate.set()
    assert (await neighbour).value == "through"
    # Nobody has asked for a worker since.
    await until(lambda: idle(sandbox) >= WARM)
    outcomes = await asyncio.gather(*(run(CALLING, Desk()) for _ in range(4)))
    assert [outcome.value for outcome in outcomes] == [1] * 4


@pytest.mark.parametrize("engine", ["monty", "cpython"])
async def test_workers_killed_while_idle_cost_nothing(sandboxes: dict[Engine, Any], engine: Engine) -> None:
    sandbox = sandboxes[engine]
    await until(lambda: idle(sandbox) >= WARM)
    pool = sandbox._runners if engine == "monty" else sandbox._pool
    for worker in list(pool._idle):
        worker.kill()
        worker._process.wait()
    outcomes = await asyncio.gather(*(sandbox.run(CALLING, [DESK], Desk(), LIMITS) for _ in range(WARM)))
    assert [outcome.value for outcome in outcomes] == [1] * WARM
    await until(lambda: idle(sandbox) >= WARM)


async def test_a_worker_killed_while_it_forgets_a_program_costs_nothing(
    sandboxes: dict[Engine, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, killer, reset = sandboxes["monty"], Killer(), Worker.reset
    await until(lambda: idle(sandbox) >= WARM)

    async def struck(self: Worker) -> bool:
        killer.strike(self)
        return await reset(self)

    monkeypatch.setattr(Worker, "reset", struck)
    assert (await sandbox.run("1", [], Desk(), LIMITS)).value == 1
    assert (await sandbox.run("2", [], Desk(), LIMITS)).value == 2
    assert killer.victim is not None
    await until(lambda: idle(sandbox) >= WARM)
