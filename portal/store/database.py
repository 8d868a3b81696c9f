"""The database: SQLite by default, PostgreSQL for several replicas; one schema, brought up to date at start.

A commit is on disk before it returns (WAL with ``synchronous=FULL``; PostgreSQL's default), a SQLite file is readable
by its owner alone, and any number of processes may migrate at the same time: one does the work, the others wait for it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 10
MIGRATION_TIMEOUT_S = 120
CONNECT_TIMEOUT_S = 10
# Few, because one of them writes at a time: who waits for a connection waits in turn, who waits for the lock of SQLite
# sleeps and tries again.
SQLITE_CONNECTIONS = 4
POSTGRESQL_CONNECTIONS = 20
POOL_TIMEOUT_S = 60
# Any constant will do; every replica must use the same one.
MIGRATION_LOCK = 0x6D63_7070

_SQLITE = {"sqlite", "sqlite+aiosqlite"}
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg"}
# A server that vanished without a word must not hold a connection, and all who wait for it, for ever.
_POSTGRESQL_OPTIONS = {"connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": 15_000, "keepalives_idle": 15}
# Alembic keeps the running migration in module globals.
_migrating = threading.Lock()


class DatabaseRefused(Exception):
    """The database cannot be used. The message never holds the address: there may be a password in it."""


def open_database(url: str, *, connections: int | None = None) -> AsyncEngine:
    """Return an engine for ``url``; the caller disposes of it. No connection is made yet.

    ``connections`` is the most that it makes, else a number for everyday use. Raises DatabaseRefused for anything but
    a SQLite file or a PostgreSQL address.
    """
    address = _address(url)
    if address.get_backend_name() == "sqlite":
        _create_private(Path(str(address.database)))
        engine = create_async_engine(
            address,
            pool_size=connections or SQLITE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            connect_args={"timeout": BUSY_TIMEOUT_S},
        )
        event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
        return engine
    return create_async_engine(
        address,
        pool_size=connections or POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args=_POSTGRESQL_OPTIONS,
    )


def open_beside(engine: AsyncEngine) -> Engine:
    """Return a synchronous engine of exactly one connection to the same database, for use in one thread of its own."""
    if engine.dialect.name == "sqlite":
        beside = create_engine(
            engine.url.set(drivername="sqlite"),
            poolclass=StaticPool,
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        )
        event.listen(beside, "connect", _on_sqlite_connect)
        return beside
    return create_engine(engine.url, pool_size=1, max_overflow=0, connect_args=_POSTGRESQL_OPTIONS)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema up to date, off the event loop. Raises DatabaseRefused when it cannot be done."""
    try:
        await asyncio.to_thread(_migrate, engine.url)
    except SQLAlchemyError as error:
        raise DatabaseRefused(
            f"the database cannot be brought up to date ({type(error).__name__}): "
            "check that database_url is right, that the server answers and that the role may create tables"
        ) from None


def _migrate(url: URL) -> None:
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        engine = create_engine(
            url.set(drivername="sqlite"), poolclass=NullPool, connect_args={"timeout": MIGRATION_TIMEOUT_S}
        )
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "connect", _leave_transactions_to_us)
        # The lock is taken before anything is read, so that a second process sees what the first one did.
        event.listen(engine, "begin", _begin_immediate)
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args=_POSTGRESQL_OPTIONS)
    try:
        with _migrating, engine.begin() as connection:
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise DatabaseRefused("database_url is not a database address") from None
    if address.drivername in _POSTGRESQL:
        return address.set(drivername="postgresql+psycopg")
    if address.drivername not in _SQLITE:
        raise DatabaseRefused("database_url must begin with sqlite+aiosqlite:// or postgresql+psycopg://")
    if address.database in {None, "", ":memory:"} or "mode" in address.query or "uri" in address.query:
        raise DatabaseRefused("database_url must name a SQLite file: sqlite+aiosqlite:////folder/portal.db")
    return address.set(drivername="sqlite+aiosqlite")


def _create_private(path: Path) -> None:
    """Make the file before SQLite does: it would take the umask's mode. The -wal and -shm files take the file's."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise DatabaseRefused(f"the database file {path} cannot be opened: {error.strerror}") from None


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
