"""The database opens privately, migrates once however many start, and its tables are those that the code declares."""

from __future__ import annotations

import asyncio
import importlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.store.database import MIGRATIONS, DatabaseRefused, migrate, open_database
from portal.store.tables import metadata

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, sys
from portal.store.database import migrate, open_database

async def main() -> None:
    engine = open_database(sys.argv[1])
    await migrate(engine)
    await engine.dispose()

asyncio.run(main())
"""


def declared() -> list[Any]:
    """Every MetaData that this database holds."""
    return [metadata, importlib.import_module("shared_auth.store").metadata]


async def test_the_migrated_schema_is_what_the_tables_declare(engine: AsyncEngine) -> None:
    await migrate(engine)

    def drift(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, declared()))  # type: ignore[arg-type]

    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []


async def test_migrating_twice_changes_nothing(engine: AsyncEngine) -> None:
    await migrate(engine)
    await migrate(engine)
    async with engine.connect() as connection:
        versions = (await connection.scalars(text("SELECT version_num FROM alembic_version"))).all()
    assert list(versions) == ScriptDirectory(str(MIGRATIONS)).get_heads()


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


async def test_processes_that_start_together_all_find_the_schema(url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, url, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(4)
    ]
    ends = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(process.returncode, end[1]) for process, end in zip(processes, ends, strict=True)] == [(0, b"")] * 4


async def test_migrations_in_one_process_wait_for_one_another(engine: AsyncEngine) -> None:
    await asyncio.gather(*(migrate(engine) for _ in range(3)))
    async with engine.connect() as connection:
        assert (await connection.scalar(text("SELECT count(*) FROM alembic_version"))) == 1


async def test_a_failed_migration_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        # The last table of the first migration is in the way: all before it must be undone.
        await connection.execute(text("CREATE TABLE audit_calls (other INTEGER)"))
    with pytest.raises(DatabaseRefused):
        await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE audit_calls"))
    await migrate(engine)


async def test_the_event_loop_runs_while_a_migration_does(engine: AsyncEngine) -> None:
    migrating = asyncio.create_task(migrate(engine))
    turns = 0
    while not migrating.done():
        await asyncio.sleep(0)
        turns += 1
    await migrating
    assert turns > 10


async def test_a_sqlite_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        engine = open_database(f"sqlite:///{tmp_path / 'portal.db'}")
        await migrate(engine)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE x (y INTEGER)"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await engine.dispose()
    finally:
        os.umask(before)
    assert modes.keys() >= {"portal.db", "portal.db-wal"}
    assert set(modes.values()) == {0o600}


async def test_a_sqlite_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "portal.db"
    path.touch(0o644)
    await open_database(f"sqlite:///{path}").dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_sqlite_connections_are_durable_and_keep_foreign_keys(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'portal.db'}")
    async with engine.connect() as connection:
        found = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    await engine.dispose()


@pytest.mark.parametrize("address", ["postgresql://h/d", "postgres://h/d", "postgresql+psycopg://h/d"])
async def test_every_spelling_of_postgresql_uses_psycopg(address: str) -> None:
    engine = open_database(address)
    assert engine.url.drivername == "postgresql+psycopg"
    await engine.dispose()


@pytest.mark.parametrize(
    "address",
    [
        "mysql://root:hunter2@h/d",
        "hunter2",
        "",
        "sqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:////nowhere/at/all/portal.db",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_any_other_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        open_database(address)
    assert "hunter2" not in str(refused.value)


async def test_an_unreachable_server_is_refused_without_the_password() -> None:
    engine = open_database("postgresql://u:hunter2@127.0.0.1:1/d")
    with pytest.raises(DatabaseRefused) as refused:
        await migrate(engine)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    await engine.dispose()
