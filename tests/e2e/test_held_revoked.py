"""Access ends while a program waits in its process: whatever ends it and wherever, the process ends and nothing is done.

Two portals on one PostgreSQL. The programs wait in the first; their people's access is ended through the second.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.asking import agent, ask, eventually
from tests.e2e.test_pauses import POLICY, TITLES, id_in
from tests.load.logins import two
from tests.person import Agent
from tests.running import Running
from tests.sandbox.test_jail import needs_jail
from tests.store.databases import SERVER

ADD = """\
# engine: cpython
import notes, os
# of {who}
await notes.add_note(title=f'by process {{os.getpid()}}', text='.')
"""
NOTES = """
[upstreams.notes]
module = "servers._template"
[policy]
files = ["{policy}"]
"""


@pytest.fixture
async def replicas(tmp_path: Path, postgresql: str) -> AsyncIterator[tuple[Running, Running]]:
    policy = tmp_path / "asking.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    async with two(tmp_path, postgresql, NOTES.format(policy=policy)) as found:
        yield found


def rows(name: str, query: str, *values: str) -> list[tuple[object, ...]]:
    with psycopg.connect(f"{SERVER} dbname={name}") as database:
        return database.execute(query.encode(), values).fetchall()


def runs(pid: int) -> bool:
    """Say whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descends(pid: int, ancestor: int) -> bool:
    while pid not in {0, ancestor}:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


def refused(at: Running, token: str) -> bool:
    """Say whether the door refuses the token: each replica believes what it knew of a grant for less than a second."""
    answer = httpx.post(f"{at.base}/mcp", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return answer.status_code == 401


@needs_jail
@pytest.mark.requirement("RS-73", "SH-04")
@pytest.mark.parametrize("way", ["the client's /revoke", "an operator's page", "the command line"])
async def test_what_waits_in_its_process_ends_with_its_access_through_any_replica(
    replicas: tuple[Running, Running], postgresql: str, way: str
) -> None:
    one, two = replicas
    async with Agent(one.base, "grace") as grace, Agent(one.base, "admin-ada") as ada:
        token = await grace.log_in("desk")
        async with agent(one, token) as client:
            said = [(await ask(client, "execute", code=ADD.format(who="grace")))[0] for _ in range(2)]
        assert all("It waits in its process until then" in text for text in said), said
        undecided, allowed = map(id_in, said)
        pids = [int(pid) for text in said for pid in re.findall(r"by process (\d+)", text)]
        assert len(set(pids)) == 2
        assert all(runs(pid) and descends(pid, one.process.pid) for pid in pids)
        await grace.sign_in()
        assert (await grace.press(f"/programs/{allowed}", at=two.base, decision="allow")).status_code == 303
        await ada.sign_in()
        ((subject,),) = rows(postgresql, "SELECT subject FROM auth_people WHERE subject LIKE 'grace%%'")

        if way == "the client's /revoke":
            form = {"client_id": "desk", "token": token}
            assert httpx.post(f"{two.base}/revoke", data=form, trust_env=False).status_code == 200
        elif way == "an operator's page":
            answer = await ada.press("/access", at=two.base, end="person", subject=str(subject))
            assert "1 grant ended" in answer.text
        else:
            done = await asyncio.to_thread(two.command, "revoke", "--subject", str(subject))
            assert done.stdout.strip() == "1 grants ended"

        assert await asyncio.to_thread(eventually, lambda: not any(map(runs, pids)))
        outcomes = "SELECT outcome FROM audit_programs WHERE source LIKE '%%# of grace%%'"
        assert await asyncio.to_thread(eventually, lambda: rows(postgresql, outcomes) == [("revoked",)] * 2)

        await grace.sign_in()  # ending all of a person's access signs them out, too
        for replica in replicas:
            for pause_id in (undecided, allowed):
                page = await grace.see(f"/programs/{pause_id}", at=replica.base)
                assert "Its access has ended" in page
                assert 'name="decision"' not in page
                assert "It waits in a running process" not in page
            # Who held the grant does not get in any more, and no other grant of the same person reaches its programs.
            assert await asyncio.to_thread(eventually, partial(refused, replica, token))
        again = await grace.log_in("desk")
        for replica in replicas:
            async with agent(replica, again) as client:
                for pause_id in (undecided, allowed):
                    text, failed = await ask(client, "execute", resume=pause_id)
                    assert failed
                    assert "There is no paused program with this id" in text
                assert "by process" not in (await ask(client, "execute", code=TITLES))[0]
    assert (
        rows(postgresql, "SELECT state, length(pending), length(snapshot) FROM paused_programs")
        == [("revoked", 0, 0)] * 2
    )
    made = "SELECT decision, outcome FROM audit_calls WHERE tool = 'add_note'"
    assert rows(postgresql, made) == [("ask", "asked")] * 2
