"""A read whose answer is large."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers._kit.tool import Output


class Row(Output):
    """One row, of about a hundred bytes of JSON."""

    id: int
    name: str
    value: int


@tool(effect="read", scope="bench:read")
async def rows(_client: None, count: Annotated[int, Field(ge=1, le=20_000)]) -> list[Row]:
    """List rows, a megabyte for ten thousand of them."""
    return [Row(id=i, name=f"row {i:06} {'x' * 60}", value=i % 1_000) for i in range(count)]
