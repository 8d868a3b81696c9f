"""Wait."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field

from servers._kit import tool


@tool(effect="read", scope="slow:read")
async def wait_for(_client: None, seconds: Annotated[float, Field(ge=0, le=60)]) -> float:
    """Wait some seconds and return them."""
    await asyncio.sleep(seconds)
    return seconds
