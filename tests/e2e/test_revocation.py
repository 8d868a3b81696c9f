"""Revocation ends tokens and running programs on every replica: two portals, one PostgreSQL database."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from shared_auth import opaque
from tests.asking import agent, ask, eventually
from tests.running import Running, replicas
from tests.store.databases import SERVER

SECRET = "mps_of-the-build"
CONFIG = f"""
[upstreams.slow]
module = "tests.upstreams.slow"

[auth.clients.build]
grant_types = ["client_credentials"]
secret_hash = "{opaque.digest(SECRET)}"
"""
WAITING = "import slow\n# {mark}\nawait slow.wait_for(seconds=50)"
COMPUTING = "# {mark}\nx = 0\nwhile True:\n    x += 1"


@pytest.fixture
def both(tmp_path: Path, postgresql: str) -> Iterator[tuple[Running, Running]]:
    with replicas(tmp_path, postgresql, CONFIG, limits__cpu_s="50") as found:
        yield found


def build_token(running: Running) -> str:
    header = base64.b64encode(f"build:{SECRET}".encode()).decode()
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(
        f"{running.base}/token", data=form, headers={"Authorization": f"Basic {header}"}, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def outcomes(name: str, mark: str) -> list[str]:
    with psycopg.connect(f"{SERVER} dbname={name}") as database:
        rows = database.execute("SELECT outcome FROM audit_programs WHERE source LIKE %s", (f"%# {mark}\n%",))
        return [row[0] for row in rows]


@pytest.mark.requirement("SH-04")
async def test_programs_of_whoever_is_revoked_end_on_every_replica(
    both: tuple[Running, Running], postgresql: str
) -> None:
    one, two = both
    person, build = one.token(), build_token(one)

    async def run(running: Running, token: str, code: str, mark: str) -> tuple[str, bool]:
        async with agent(running, token) as client:
            return await ask(client, "execute", code=code.format(mark=mark))

    async def begun(mark: str) -> bool:
        return await asyncio.to_thread(eventually, lambda: outcomes(postgresql, mark) == ["running"])

    def revoke(*arguments: str) -> str:
        done = one.command("revoke", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    marks = ["waits-here", "waits-there", "computes-there"]
    programs = [
        asyncio.create_task(run(one, person, WAITING, marks[0])),
        asyncio.create_task(run(two, person, WAITING, marks[1])),
        asyncio.create_task(run(two, person, COMPUTING, marks[2])),
    ]
    robot = asyncio.create_task(run(two, build, WAITING, "robot"))
    assert all([await begun(mark) for mark in [*marks, "robot"]])

    assert await asyncio.to_thread(revoke, "--subject", "nobody") == "0 grants ended"
    assert await asyncio.to_thread(revoke, "--subject", "local") == "1 grants ended"
    for text, failed in await asyncio.gather(*programs):
        assert failed
        assert "Access was revoked" in text
    assert [outcomes(postgresql, mark) for mark in marks] == [["revoked"]] * 3
    for running in both:
        assert (
            httpx.post(
                f"{running.base}/mcp", headers={"Authorization": f"Bearer {person}"}, trust_env=False
            ).status_code
            == 401
        )

    assert not robot.done()
    assert await asyncio.to_thread(revoke, "--client", "build") == "1 grants ended"
    text, failed = await robot
    assert failed
    assert "Access was revoked" in text
    assert "slow.wait_for → cancelled" in text

    again = asyncio.create_task(run(two, build_token(two), WAITING, "again"))
    assert await begun("again")
    assert await asyncio.to_thread(revoke, "--all") == "1 grants ended"
    assert "Access was revoked" in (await again)[0]
