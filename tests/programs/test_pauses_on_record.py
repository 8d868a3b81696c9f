"""A program that was paused is one program on the record, wherever it goes on: its chain is whole, and nobody prunes it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import text, update

from portal.audit.retention import prune
from portal.audit.verify import verify
from portal.store.tables import audit_calls
from tests.programs.crashing import ADA, code, decide
from tests.programs.standing import Standing
from tests.programs.test_pauses_on_postgresql import replicas
from tests.store.databases import postgresql, url

__all__ = ["postgresql", "url"]

ALWAYS_MS = 10**15


async def paused(stand: Standing, name: str) -> str:
    return (await stand.programs.execute(ADA, code(name))).text.split('resume="')[1].split('"')[0]


async def chains(stand: Standing) -> dict[str, tuple[int, str]]:
    return {chain.instance: (chain.programs, chain.fault) for chain in (await verify(stand.engine)).chains}


async def left(stand: Standing) -> list[str]:
    async with stand.engine.connect() as connection:
        return list(await connection.scalars(text("SELECT outcome FROM audit_programs ORDER BY id")))


async def test_it_stands_whole_in_the_chain_of_the_replica_that_ended_it(tmp_path: Path, url: str) -> None:
    async with AsyncExitStack() as stack:
        first, second = await replicas(stack, tmp_path, url)
        pause_id = await paused(first, "a")
        # Others end beside it, so that they share commits.
        others = [asyncio.create_task(first.programs.execute(ADA, "1")) for _ in range(3)]
        waiting = await paused(first, "b")
        await asyncio.gather(*others)
        assert await chains(first) == {"one": (3, "")}
        assert (await verify(first.engine)).unchained == 2
        await decide(first, pause_id)
        assert (await second.programs.resume(ADA, pause_id)).text.startswith(("ok", "failed: raised"))
        assert await chains(first) == {"one": (3, ""), "two": (1, "")}
        async with first.engine.begin() as connection:
            # The first call is one of those that were made before the pause, in the other process.
            changed = update(audit_calls).where(audit_calls.c.position == 0, audit_calls.c.effect == "write")
            assert (await connection.execute(changed.values(argument_bytes=1))).rowcount
        assert "was changed" in (await chains(second))["two"][1]
        assert await decide(first, waiting)


async def test_what_waits_is_never_pruned_and_what_has_waited_goes_with_its_pause(tmp_path: Path, url: str) -> None:
    async with AsyncExitStack() as stack:
        first, second = await replicas(stack, tmp_path, url)
        waiting, gone_on = await paused(first, "a"), await paused(first, "b")
        await decide(first, gone_on)
        await second.programs.resume(ADA, gone_on)
        assert await prune(first.engine, ALWAYS_MS) == 1
        assert await left(first) == ["paused"]
        async with first.engine.connect() as connection:
            assert list(await connection.scalars(text("SELECT id FROM paused_programs"))) == [waiting]
        await decide(first, waiting)
        assert (await second.programs.resume(ADA, waiting)).text.startswith(("ok", "failed: raised"))
        assert (await chains(first))["two"] == (1, "")
