"""Programs that mean harm, on jailed CPython: each ends in one of the ways it may, and nobody beside it notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from portal.sandbox.contract import Limits, Options
from portal.sandbox.engines import Engines
from tests.sandbox.conftest import DESK, Desk
from tests.sandbox.cpython_hostile import CORPUS
from tests.sandbox.test_hostile import LIMITS, end
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]

NEIGHBOUR = "import desk, asyncio\nasync with asyncio.TaskGroup() as g:\n    ts = [g.create_task(desk.echo(i)) for i in range(20)]\nsum(t.result() for t in ts)"
GROUPS = 8


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Engines]:
    options = Options(jail="require", engine="monty+cpython", min_workers=1, max_workers=8, warm_children=4)
    async with Engines(options) as opened:
        yield opened


@pytest.mark.parametrize("group", range(GROUPS))
async def test_hostile_programs_end_as_they_may_and_harm_nobody(both: Engines, group: int) -> None:
    at_once = asyncio.Semaphore(4)

    async def one(name: str, code: str, ends: str) -> None:
        async with at_once:
            desk = Desk()
            outcome = await both.run(code, [DESK], desk, LIMITS)
        assert desk.running == 0, name
        assert end(outcome) in ends.split("|"), (name, outcome)
        assert outcome.engine == "cpython", name
        text = json.dumps(outcome.value)
        assert "escaped" not in text, name
        assert len(text) < 3 * LIMITS.result_bytes, name
        assert len(outcome.printed.encode()) < LIMITS.print_bytes + 200, name

    async def neighbour() -> None:
        outcome = await both.run(NEIGHBOUR, [DESK], Desk(), Limits(wall_s=30.0))
        assert (outcome.value, outcome.engine) == (190, "cpython"), outcome

    async with asyncio.TaskGroup() as tasks:
        for program in CORPUS[group::GROUPS]:
            tasks.create_task(one(*program))
        for _ in range(5):
            tasks.create_task(neighbour())


async def test_nothing_of_a_program_is_left_for_the_next_one(both: Engines) -> None:
    leave = "# engine: cpython\nimport builtins, json, sys\nbuiltins.secret = json.secret = sys.secret = 'escaped'\n1"
    look = "# engine: cpython\nimport builtins, json, sys\n[getattr(m, 'secret', None) for m in (builtins, json, sys)]"
    for _ in range(6):
        assert (await both.run(leave, [], Desk(), LIMITS)).value == 1
        assert (await both.run(look, [], Desk(), LIMITS)).value == [None] * 3


async def test_programs_beside_one_another_cannot_signal_one_another(both: Engines) -> None:
    desk = Desk()
    victim = asyncio.create_task(both.run("# engine: cpython\nimport desk\nawait desk.block()", [DESK], desk, LIMITS))
    await desk.blocked.wait()
    attack = (
        "# engine: cpython\nimport os\nheld = 0\nfor pid in range(1, 60_000):\n    try:\n        os.kill(pid, 9)\n"
        "    except OSError as e:\n        held += e.errno == 1\nheld"
    )
    outcome = await both.run(attack, [], Desk(), Limits(cpu_s=5.0))
    assert outcome.value == 59_999
    desk.gate.set()
    assert (await victim).value == "through"


async def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 140
