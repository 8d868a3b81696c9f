"""A read that takes five milliseconds."""

from __future__ import annotations

import asyncio

from servers._kit import tool

TAKES_S = 0.005


@tool(effect="read", scope="bench:read")
async def rest(_client: None) -> bool:
    """Wait five milliseconds, as a vendor would."""
    await asyncio.sleep(TAKES_S)
    return True
