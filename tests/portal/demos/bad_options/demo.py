"""A demo with one option."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    speed: int = 1


@asynccontextmanager
async def running(data_dir: Path, options: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    Options.model_validate(dict(options))
    yield {}
