from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit
from portal.store.database import migrate, open_database


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite:///{tmp_path / 'portal.db'}")
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def audit(engine: AsyncEngine) -> AsyncIterator[Audit]:
    async with Audit(engine) as audit:
        yield audit
