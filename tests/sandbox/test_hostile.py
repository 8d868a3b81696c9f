"""Programs that mean harm, on both engines at once: each ends as it may, and nothing beside it notices.

The corpus runs once, as much of it as is selected; the tests then judge what came of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from portal.sandbox.contract import Engine, Limits, Options, Outcome
from portal.sandbox.engines import Engines
from portal.sandbox.monty import MontySandbox
from tests.sandbox.baits import Baits, laid
from tests.sandbox.conftest import DESK, Desk
from tests.sandbox.corpus import Case, corpus
from tests.sandbox.test_jail import host, needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]

CORPUS = corpus()
RUNS = [(case, engine) for case in CORPUS for engine in case.ends]
TOGETHER = 6
LIMITS = Limits(wall_s=30.0, cpu_s=0.25, memory_bytes=32 * 1024 * 1024, calls=200)
WAITS_S, COMPUTES_S = 2.0, 3.0
"""The wall clock of a program that may end by it, the processor time of one that must not: a busy machine is slow."""

NEIGHBOURS: dict[Engine, str] = {
    "monty": "import desk, asyncio\nsum(await asyncio.gather(*[desk.echo(i) for i in range(20)]))",
    "cpython": (
        "import desk, asyncio\nasync with asyncio.TaskGroup() as g:\n"
        "    ts = [g.create_task(desk.echo(i)) for i in range(20)]\nsum(t.result() for t in ts)"
    ),
}


@dataclass(slots=True)
class Aftermath:
    """What is left when the corpus has run. ``neighbours``: what the programs beside it came to."""

    monty: MontySandbox
    both: Engines
    baits: Baits
    outcomes: dict[tuple[str, Engine], Outcome]
    unsettled: list[str]
    neighbours: dict[Engine, list[Outcome]]
    before: object


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aftermath(request: pytest.FixtureRequest) -> AsyncIterator[Aftermath]:
    wanted = {
        item.callspec.id
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
    runs = [run for run in RUNS if _id(run) in wanted]
    options = Options(jail="require", engine="monty+cpython", min_workers=3, max_workers=16, warm_children=3)
    with laid() as baits:
        async with (
            MontySandbox(replace(options, engine="monty")) as monty,
            Engines(replace(options, min_workers=1)) as both,
        ):
            after = Aftermath(monty, both, baits, {}, [], {"monty": [], "cpython": []}, _machine())
            done = asyncio.Event()
            at_once = asyncio.Semaphore(TOGETHER)

            async def one(case: Case, engine: Engine) -> None:
                desk = Desk()
                limits = replace(LIMITS, wall_s=WAITS_S) if "wall_s" in case.ends[engine] else LIMITS
                if "cpu_s" not in case.ends[engine]:
                    limits = replace(limits, cpu_s=COMPUTES_S)
                async with at_once:
                    sandbox = monty if engine == "monty" else both
                    after.outcomes[case.id, engine] = await sandbox.run(
                        case.program(baits.values, engine), [DESK], desk, limits
                    )
                if desk.running:
                    after.unsettled.append(case.id)

            async def beside(engine: Engine) -> None:
                while not done.is_set():
                    after.neighbours[engine].append(
                        await both.run(NEIGHBOURS[engine], [DESK], Desk(), Limits(wall_s=60.0))
                    )

            async with asyncio.TaskGroup() as tasks:
                for engine in NEIGHBOURS:
                    tasks.create_task(beside(engine))
                async with asyncio.TaskGroup() as attacks:
                    for run in runs:
                        attacks.create_task(one(*run))
                done.set()
            yield after


def _id(run: tuple[Case, Engine]) -> str:
    return f"{run[0].id} [{run[1]}]"


def _machine() -> object:
    """What a program might have changed outside itself."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return host(), Path.cwd(), environment, os.nice(0), os.umask(os.umask(0o022))


@pytest.mark.parametrize(("case", "engine"), RUNS, ids=[_id(run) for run in RUNS])
async def test_a_hostile_program_ends_as_it_may_and_gets_nothing(
    aftermath: Aftermath, case: Case, engine: Engine
) -> None:
    outcome = aftermath.outcomes[case.id, engine]
    assert case.end(outcome) in case.ends[engine], outcome
    assert outcome.engine == engine or case.category == "source"
    assert case.id not in aftermath.unsettled
    value = json.dumps(outcome.value)
    failure = outcome.failure
    said = f"{value}{outcome.printed}{failure.message + failure.traceback if failure else ''}"
    assert "escaped" not in value
    assert aftermath.baits.secret not in said
    assert len(value) < 3 * LIMITS.result_bytes
    assert len(outcome.printed.encode()) < LIMITS.print_bytes + 200
    if failure is not None:
        assert len(failure.message) < 5_000
        assert len(failure.traceback) < 20_000


async def test_programs_beside_the_corpus_notice_nothing(aftermath: Aftermath) -> None:
    for engine, outcomes in aftermath.neighbours.items():
        assert {(outcome.value, outcome.failure, outcome.engine) for outcome in outcomes} == {(190, None, engine)}


async def test_the_machine_is_as_it_was(aftermath: Aftermath) -> None:
    assert aftermath.baits.touched() == []
    assert _machine() == aftermath.before


async def test_afterwards_every_worker_is_whole(aftermath: Aftermath) -> None:
    for engine, code in NEIGHBOURS.items():
        sandbox = aftermath.monty if engine == "monty" else aftermath.both
        # More programs than workers: every one of them serves.
        outcomes = await asyncio.gather(*(sandbox.run(code, [DESK], Desk(), Limits(wall_s=60.0)) for _ in range(24)))
        assert {(outcome.value, outcome.engine) for outcome in outcomes} == {(190, engine)}


OUTSIDE = (
    "the file",
    "the file by pathlib",
    "the file by descriptor",
    "the environment variable",
    "the listening port",
    "the abstract socket",
    "the descriptor that the portal holds open",
)


async def test_outside_the_jail_the_baits_are_within_reach() -> None:
    """That a program gets nothing says something only if there is something to get."""
    programs = {case.name: case for case in CORPUS if case.category == "baits"}
    with laid() as baits:
        for name in OUTSIDE:
            code = programs[name].program(baits.values, "cpython").removesuffix("r\n") + "print(r)"
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", code],
                check=False,
                capture_output=True,
                text=True,
                close_fds=False,
                timeout=60,
            )
            assert done.stdout == "escaped\n", (name, done.stderr)
        assert len(baits.touched()) == 2


async def test_the_corpus_is_large_and_no_program_stands_in_it_twice() -> None:
    assert len({case.id for case in CORPUS}) == len(CORPUS)
    assert len({(case.source.strip(), case.reading) for case in CORPUS}) == len(CORPUS) >= 500
    assert min(Counter(case.category for case in CORPUS).values()) >= 8
    assert min(Counter(engine for case in CORPUS for engine in case.ends).values()) >= 250
