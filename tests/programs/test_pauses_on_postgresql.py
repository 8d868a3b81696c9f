"""Where replicas share a PostgreSQL: of all who try at the same moment, as many succeed as may."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.programs.pauses import Person
from tests.programs.crashing import ADA, POLICY, code, decide
from tests.programs.standing import Standing, standing
from tests.store.databases import postgresql, url

__all__ = ["postgresql", "url"]

ME = Person.of(ADA)


async def replicas(stack: AsyncExitStack, folder: Path, url: str) -> list[Standing]:
    policy = folder / "asking.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    opened = []
    for name in ("one", "two"):
        one = standing(folder, url=url, policies=[policy], instance=name, per_principal=50)
        opened.append(await stack.enter_async_context(one))
    return opened


@pytest.mark.requirement("RS-74")
async def test_of_many_at_once_one_goes_on_and_no_more_wait_than_may(tmp_path: Path, url: str) -> None:
    async with AsyncExitStack() as stack:
        first, second = await replicas(stack, tmp_path, url)
        asked = [first if number % 2 else second for number in range(8)]
        replies = await asyncio.gather(
            *(one.programs.execute(ADA, code(str(number))) for number, one in enumerate(asked))
        )
        waiting = [reply.text.split('resume="')[1].split('"')[0] for reply in replies if not reply.is_error]
        assert len(waiting) == 5
        assert len([reply for reply in replies if "limit paused_programs" in reply.text]) == 3
        assert {paused.id for paused in await second.pauses.waiting(ME)} == set(waiting)
        for odd in ("\x00", "\ud800", "é", "", "a" * 100, "' OR 1=1"):
            assert await first.pauses.asked(ME, odd) is None
            assert "no paused program" in (await first.programs.resume(ADA, odd)).text
        decisions = await asyncio.gather(*(decide(one, waiting[0]) for one in asked))
        assert sum(decisions) == 1
        resumed = await asyncio.gather(*(one.programs.resume(ADA, waiting[0]) for one in asked))
        others = ("never run twice", "another request")
        assert len([reply for reply in resumed if not any(words in reply.text for words in others)]) == 1
        assert (first.desk.called + second.desk.called).count("drop_item") == 1
        async with first.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT state, count(*) FROM paused_programs GROUP BY state ORDER BY state")
            )
            assert [tuple(row) for row in found] == [("resumed", 1), ("waiting", 4)]
