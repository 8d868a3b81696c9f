"""A demo that starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


@asynccontextmanager
async def running(data_dir: Path, options: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    (data_dir / "started").touch()
    yield {"url": "http://127.0.0.1:1", "given": dict(options)}
    (data_dir / "stopped").touch()
