"""An operator ends a person's access on the page: two portals, one PostgreSQL database, programs that run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.asking import agent, ask, eventually
from tests.load.logins import two
from tests.person import Agent
from tests.running import Running
from tests.store.databases import SERVER

WAITING = "import slow\n# {mark}\nawait slow.wait_for(seconds=50)"
SLOW = '\n[upstreams.slow]\nmodule = "tests.upstreams.slow"\n'


@pytest.fixture
async def replicas(tmp_path: Path, postgresql: str) -> AsyncIterator[tuple[Running, Running]]:
    async with two(tmp_path, postgresql, SLOW) as found:
        yield found


def rows(name: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(f"{SERVER} dbname={name}") as database:
        return database.execute(query.encode()).fetchall()


@pytest.mark.requirement("AS-141", "SH-04")
async def test_who_is_put_out_by_an_operator_is_out_everywhere_and_it_is_on_record(
    replicas: tuple[Running, Running], postgresql: str
) -> None:
    one, two = replicas

    async def run(running: Running, token: str, mark: str) -> tuple[str, bool]:
        async with agent(running, token) as client:
            return await ask(client, "execute", code=WAITING.format(mark=mark))

    async def running(mark: str) -> bool:
        query = f"SELECT outcome FROM audit_programs WHERE source LIKE '%# {mark}\n%'"
        return await asyncio.to_thread(eventually, lambda: rows(postgresql, query) == [("running",)])

    async with Agent(one.base, "grace") as grace, Agent(one.base, "admin-ada") as ada:
        tokens = await grace.log_in("desk"), await ada.log_in("desk")
        theirs = [asyncio.create_task(run(where, tokens[0], mark)) for where, mark in ((one, "here"), (two, "there"))]
        hers = asyncio.create_task(run(two, tokens[1], "hers"))
        assert all([await running(mark) for mark in ("here", "there", "hers")])

        await ada.sign_in()
        ((found,),) = rows(postgresql, "SELECT subject FROM auth_people WHERE subject LIKE 'grace%'")
        subject = str(found)
        refused = await grace.press("/access", end="person", subject=subject)
        assert refused.status_code == 403
        answer = await ada.press("/access", end="person", subject=subject)
        assert "1 grant ended" in answer.text
        for text, failed in await asyncio.gather(*theirs):
            assert failed
            assert "Access was revoked" in text
        assert not hers.done()

        operator = subject.replace("grace", "admin-ada")
        assert rows(postgresql, "SELECT revoked_by, subject, client_id, ended FROM auth_revocations") == [
            (operator, subject, None, 1)
        ]
        await asyncio.to_thread(one.command, "revoke", "--client", "desk")
        assert (await hers)[1]
        last = "SELECT revoked_by, client_id, ended FROM auth_revocations ORDER BY position DESC LIMIT 1"
        assert rows(postgresql, last) == [("command line", "desk", 1)]
