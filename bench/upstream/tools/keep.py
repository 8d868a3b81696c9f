"""A write that keeps nothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool


@tool(effect="write", scope="bench:write")
async def keep(_client: None, value: Annotated[int, Field(le=10**9)]) -> int:
    """Pretend to keep a number and return it."""
    return value
