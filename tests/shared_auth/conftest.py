from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.store import metadata
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, Flow, application

POSTGRESQL = os.environ.get("PORTAL_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1/test")


def _fast(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


@pytest.fixture
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database with the tables: SQLite, or with the BOTH mark PostgreSQL too, in a schema of its own."""
    if getattr(request, "param", "sqlite") == "sqlite":
        found = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'auth.db'}")
        event.listen(found.sync_engine, "connect", _fast)
        schema = None
    else:
        schema = f"auth_{secrets.token_hex(8)}"
        admin = create_async_engine(POSTGRESQL, connect_args={"connect_timeout": 3})
        try:
            async with admin.begin() as connection:
                await connection.execute(text(f"CREATE SCHEMA {schema}"))
        except OperationalError:
            await admin.dispose()
            if "CI" in os.environ:
                raise
            pytest.skip("no PostgreSQL answers")
        found = create_async_engine(POSTGRESQL, connect_args={"options": f"-csearch_path={schema}"})
    try:
        async with found.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield found
    finally:
        await found.dispose()
        if schema is not None:
            async with admin.begin() as connection:
                await connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
            await admin.dispose()


@pytest.fixture
def settings() -> AuthSettings:
    return AuthSettings(
        issuer=ISSUER,
        resource=RESOURCE,
        secret=b"s" * 32,
        local_sign_in=True,
        local_subject="ada",
        local_name="Ada Lovelace",
        local_email="ada@example.com",
        local_groups=frozenset({"portal-writers"}),
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def auth(settings: AuthSettings, engine: AsyncEngine, clock: Clock) -> Auth:
    found = Auth(settings, engine, clock=clock)
    await found.start()
    return found


@pytest.fixture
async def flow(auth: Auth, clock: Clock, settings: AuthSettings) -> AsyncIterator[Flow]:
    found = Flow(auth, clock, application(auth), settings.issuer)
    async with found.agent, found.browser:
        yield found
