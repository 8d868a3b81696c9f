"""A demo that cannot be had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


class NotStarted(RuntimeError):
    """It did not come up."""


@asynccontextmanager
async def running(data_dir: Path, options: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    if options:
        raise OSError
    raise NotStarted("prometheus did not become ready\nwithin 20 s")
    yield {}
