from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.programs.standing import Standing, standing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as found:
        yield found
