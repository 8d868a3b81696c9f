"""Many people log an agent in at the same moment: ``python -m tests.load.logins [HOW_MANY]`` (``make load``).

Each registers a client or uses a declared one, says yes, signs in at the company's provider, redeems the code and runs a
program: all over HTTP, against `portal serve`, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.person import CALLBACK, Agent
from tests.provider import CLIENT_ID, SECRET, Provider, serving
from tests.running import Running, free_port, portal

HOW_MANY = 500


def config(provider: Provider, how_many: int) -> str:
    """Return the portal's settings for ``how_many`` logins from one address."""
    return f"""
[auth]
registrations_per_address = {how_many}

[auth.oidc]
issuer = "{provider.issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{SECRET}"

[auth.clients.desk]
grant_types = ["authorization_code", "refresh_token"]
redirect_uris = ["{CALLBACK}"]
"""


def shared(name: str) -> dict[str, str]:
    """Return the settings of a portal whose database is the PostgreSQL database ``name``."""
    return {"database_url": f"postgresql+psycopg://postgres@127.0.0.1/{name}", "auth__secret": "s" * 32}


@asynccontextmanager
async def stage(folder: Path, how_many: int, **settings: str) -> AsyncIterator[Running]:
    """Yield a portal with its provider."""
    async with serving() as provider:
        standing = portal(folder, config(provider, how_many), **settings)
        running = await asyncio.to_thread(standing.__enter__)
        try:
            yield running
        finally:
            await asyncio.to_thread(standing.__exit__, None, None, None)


@asynccontextmanager
async def two(folder: Path, database: str, more: str) -> AsyncIterator[tuple[Running, Running]]:
    """Yield two portals on one PostgreSQL database with one provider, where ``operators`` administer. The first is where
    both say that they are. ``more`` are settings of both.
    """
    port = free_port()
    settings = shared(database) | {
        "public_url": f"http://127.0.0.1:{port}",
        "allowed_hosts": '["127.0.0.1:*"]',
        "auth__admin_groups": '["operators"]',
    }
    async with serving() as provider, AsyncExitStack() as stack:
        found = []
        for name, own in (("one", {"port": str(port)}), ("two", {})):
            (folder / name).mkdir()
            standing = portal(folder / name, config(provider, 30) + more, **settings, **own)
            found.append(await asyncio.to_thread(standing.__enter__))
            stack.push_async_callback(asyncio.to_thread, standing.__exit__, None, None, None)
        yield found[0], found[1]


async def log_in_all(running: Running, how_many: int) -> list[str]:
    """Log ``how_many`` people in at once and return what went wrong, [] when nothing did."""
    begun = asyncio.Barrier(how_many)

    async def one(number: int) -> None:
        async with Agent(running.base, f"person-{number}") as agent:
            await begun.wait()
            token = await agent.log_in("desk" if number % 2 else None)
            answer = await agent.execute(token, "6*7")
            assert "42" in answer, answer

    done = await asyncio.gather(*map(one, range(how_many)), return_exceptions=True)
    return [f"{type(failed).__name__}: {failed}" for failed in done if isinstance(failed, BaseException)]


def main(how_many: int) -> int:
    """Return 0 when every login works on every database that answers, 1 when one does not."""
    from tests.store.databases import temporary_postgresql

    failures = 0
    with temporary_postgresql() as name:
        databases = {"SQLite": {}, "PostgreSQL": shared(name)}
        for database, settings in databases.items():
            with tempfile.TemporaryDirectory() as folder:
                failures += asyncio.run(_measured(database, Path(folder), how_many, settings))
    return 1 if failures else 0


async def _measured(database: str, folder: Path, how_many: int, settings: dict[str, str]) -> int:
    async with stage(folder, how_many, **settings) as running:
        started = time.perf_counter()
        failures = await log_in_all(running, how_many)
        took_s = time.perf_counter() - started
    print(f"{database}: {how_many - len(failures)} of {how_many} logins at once in {took_s:.1f} s")
    for failure in failures[:5]:
        print(f"  {failure}")
    return len(failures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY))
