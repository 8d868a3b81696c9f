"""Databases of a test's own: a SQLite file, or a schema in a PostgreSQL database that lives as long as the session."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

SERVER = "host=127.0.0.1 user=postgres connect_timeout=3"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Yield the name of a new database, dropped afterwards. Skips without a server, except in CI: there it must be."""
    yield from _new()


@pytest.fixture
def own_postgresql() -> Iterator[str]:
    """As ``postgresql``, for one test alone."""
    yield from _new()


def _new() -> Iterator[str]:
    with ExitStack() as stack:
        try:
            name = stack.enter_context(temporary_postgresql())
        except psycopg.OperationalError:
            if os.environ.get("CI"):
                raise
            pytest.skip("no PostgreSQL answers on 127.0.0.1")
        yield name


@contextmanager
def temporary_postgresql() -> Iterator[str]:
    """Yield the name of a new database, dropped afterwards. Raises psycopg.OperationalError without a server."""
    server = psycopg.connect(f"{SERVER} dbname=postgres", autocommit=True)
    name = f"portal_test_{secrets.token_hex(8)}"
    with server:
        # template1 may be in use by another session that makes databases; template0 never is.
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'portal.db'}"
        return
    name = request.getfixturevalue("postgresql")
    schema = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(f"{SERVER} dbname={name}", autocommit=True) as server:
        server.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    yield f"postgresql+psycopg://postgres@127.0.0.1/{name}?options=-csearch_path%3D{schema}"
    with psycopg.connect(f"{SERVER} dbname={name}", autocommit=True) as server:
        server.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
