"""`make bench-lag`: how long the portal's event loop is kept from everybody else while hostile programs run.

The whole corpus of tests/sandbox runs on both engines, several programs at once, in this process; beside it a task asks
for the loop again and again. The same is measured while as many programs do nothing but compute: what remains there is
the machine's own share, for workers and loop compete for its cores.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import uvloop

from portal.sandbox.contract import Limits, Options
from portal.sandbox.engines import Engines
from portal.sandbox.monty import MontySandbox
from portal.serve import _settle
from tests.sandbox.baits import laid
from tests.sandbox.conftest import DESK, Desk
from tests.sandbox.corpus import corpus

TICK_S = 0.001
TOGETHER = 4
LIMITS = Limits(wall_s=4.0, cpu_s=0.25, memory_bytes=32 * 1024 * 1024, calls=200)
GOAL_MS = 50.0


async def lags(work: Coroutine[Any, Any, None]) -> list[float]:
    """Return by how many milliseconds each tick was late while ``work`` ran."""
    late: list[float] = []
    running = asyncio.ensure_future(work)
    while not running.done():
        asked_s = time.perf_counter()
        await asyncio.sleep(TICK_S)
        late.append((time.perf_counter() - asked_s - TICK_S) * 1000)
    await running
    return late


async def measure(only: Sequence[str]) -> None:
    """Measure and print."""
    cases = [case for case in corpus() if not only or case.category in only]
    options = Options(jail="degrade", engine="monty+cpython", min_workers=TOGETHER, warm_children=TOGETHER)
    with laid() as baits:
        async with MontySandbox(replace(options, engine="monty")) as monty, Engines(options) as both:
            at_once = asyncio.Semaphore(TOGETHER)

            async def one(code: str, *, on_monty: bool) -> None:
                async with at_once:
                    await (monty if on_monty else both).run(code, [DESK], Desk(), LIMITS)

            async def all_of(runs: list[tuple[str, bool]]) -> None:
                await asyncio.gather(*(one(code, on_monty=on_monty) for code, on_monty in runs))

            hostile = [
                (case.program(baits.values, engine), engine == "monty") for case in cases for engine in case.ends
            ]
            busy = [("while True: pass", True)] * 100
            _settle()
            print("| loop lag, ms | ticks | p50 | p99 | max |\n|---|---|---|---|---|")
            _row(f"{len(busy)} programs that only compute, {TOGETHER} at once", await lags(all_of(busy)))
            late = await lags(all_of(hostile))
            _row(f"{len(hostile)} hostile programs, {TOGETHER} at once", late)
    print(f"\nGoal: p99 of at most {GOAL_MS:g} ms: {'met' if _at(late, 0.99) <= GOAL_MS else 'MISSED'}")


def _row(name: str, late: list[float]) -> None:
    print(f"| {name} | {len(late)} | {_at(late, 0.5):.2f} | {_at(late, 0.99):.1f} | {max(late):.0f} |")


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


if __name__ == "__main__":
    uvloop.run(measure(sys.argv[1:]))
