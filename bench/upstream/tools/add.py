"""Add two numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool


@tool(effect="read", scope="bench:read")
async def add(_client: None, a: Annotated[int, Field(le=10**9)], b: Annotated[int, Field(le=10**9)]) -> int:
    """Add two numbers and return the sum."""
    return a + b
