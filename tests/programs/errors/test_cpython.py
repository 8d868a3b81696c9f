"""CPython says the same things in other words; the agent reads the same hints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from portal.programs.brief import tokens
from tests.programs.errors.shop import Shop
from tests.programs.errors.test_errors import GOLDEN, HOSTILE, MAX_TOKENS, RULE
from tests.programs.standing import Standing, standing
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]
OTHERWISE = {
    # The check is told of Python's whole library there, and a coroutine that is the result is awaited.
    "package_that_is_not_here",
    "recursion",
    "tool_by_getattr",
    "time",
    "syntax",
    "many_calls",
    "missing_await_of_the_result",
    "missing_await_of_a_write",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    async with standing(tmp_path_factory.mktemp("cpython"), servers={"shop": Shop().server()}, engines=True) as found:
        yield found


@pytest.mark.parametrize("file", [file for file in GOLDEN if file.stem not in OTHERWISE], ids=lambda file: file.stem)
async def test_the_hints_are_those_of_the_other_engine(stand: Standing, file: Path) -> None:
    code, _, wanted = file.read_text(encoding="utf-8").partition(RULE)
    reply = await stand.run(f"# engine: cpython\n{code}")
    assert advice(reply) == advice(wanted)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_and_values_are_short_there_too(stand: Standing, name: str) -> None:
    reply = (await stand.run(f"# engine: cpython\n{HOSTILE[name]}")).partition("\n--- printed")[0]
    assert tokens(reply) <= MAX_TOKENS
    assert all(c.isprintable() or c == "\n" for c in reply)


def advice(reply: str) -> list[str]:
    lines = [line for line in reply.split("\n") if line != "(ran on cpython)"]
    return [line for line in lines if line.startswith(("hint: ", "async def ", "class ", "("))]
