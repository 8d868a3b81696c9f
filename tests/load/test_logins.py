"""Many people log in at the same moment; ``make load`` does it with 500, which takes a while on a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.logins import log_in_all, shared, stage
from tests.store.databases import postgresql

__all__ = ["postgresql"]

HOW_MANY = 40


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_everybody_who_logs_in_at_once_gets_in(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = {} if database == "sqlite" else shared(request.getfixturevalue("postgresql"))
    async with stage(tmp_path, HOW_MANY, **settings) as running:
        assert await log_in_all(running, HOW_MANY) == []
        log = running.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
