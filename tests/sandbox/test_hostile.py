"""Programs that mean harm, on jailed workers: each ends in one of the ways it may, and nobody beside it notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from portal.sandbox.contract import Limits, Options, Outcome
from portal.sandbox.monty import MontySandbox
from tests.sandbox.conftest import DESK, Desk
from tests.sandbox.hostile import CORPUS

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = Limits(wall_s=3.0, cpu_s=0.3, memory_bytes=32 * 1024 * 1024, calls=200)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jailed() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(Options(jail="degrade", min_workers=3, max_workers=8)) as opened:
        yield opened


def end(outcome: Outcome) -> str:
    if outcome.failure is None:
        return "value"
    if outcome.failure.kind == "limit":
        return outcome.failure.limit if hasattr(Limits, outcome.failure.limit) else "limit"
    return outcome.failure.kind


@pytest.mark.parametrize(("name", "code", "ends"), CORPUS, ids=[name for name, _, _ in CORPUS])
async def test_a_hostile_program_ends_as_it_may_and_harms_nobody(
    jailed: MontySandbox, name: str, code: str, ends: str
) -> None:
    neighbour = "import desk, asyncio\nsum(await asyncio.gather(*[desk.echo(i) for i in range(20)]))"
    outcome, beside = await asyncio.gather(
        jailed.run(code, [DESK], Desk(), LIMITS), jailed.run(neighbour, [DESK], Desk(), Limits(wall_s=30.0))
    )
    assert end(outcome) in ends.split("|"), outcome
    assert beside.value == 190, beside
    text = json.dumps(outcome.value)
    assert "escaped" not in text
    assert len(text) < 3 * LIMITS.result_bytes
    assert len(outcome.printed.encode()) < LIMITS.print_bytes + 200


async def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 80
