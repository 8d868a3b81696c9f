"""A process has no snapshot: where it cannot be held until its person acts, the call fails and says what to write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from portal.sandbox.contract import CallFailed, CallPaused, Dispatch, Holding, Json, Module
from portal.sandbox.gaps import ASKED, gap


def unpausable(dispatch: Dispatch, code: str, modules: Sequence[Module], holding: Holding | None) -> Dispatch:
    """Return ``dispatch`` with CallPaused turned into CallFailed where ``holding`` has no room for the program: then
    nothing was asked, and the call was not made.
    """

    async def dispatched(module: str, function: str, arguments: dict[str, Json]) -> Json:
        try:
            return await dispatch(module, function, arguments)
        except CallPaused:
            if holding is not None and holding.reserve():
                raise
            why = await asyncio.to_thread(_why, code, [found.name for found in modules])
            raise CallFailed(
                f"{module}.{function} has to wait for a person, and no more programs on CPython can wait now. The call "
                f"was not made. Make it later, or in a program of its own{why}",
                "PermissionError",
            ) from None

    return dispatched


def _why(code: str, servers: Sequence[str]) -> str:
    if ASKED.match(code):
        return " without the line `# engine: cpython`"
    found = gap(code, servers)
    return f" that does not use {found}" if found else " of plain functions, loops and asyncio.gather"
