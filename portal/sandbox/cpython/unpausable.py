"""A process has no snapshot: a call that must wait for a person fails here, and says what to write instead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from portal.sandbox.contract import CallFailed, CallPaused, Dispatch, Json, Module
from portal.sandbox.gaps import ASKED, gap


def unpausable(dispatch: Dispatch, code: str, modules: Sequence[Module]) -> Dispatch:
    """Return ``dispatch`` with CallPaused turned into CallFailed: nothing was asked, and the call was not made."""

    async def dispatched(module: str, function: str, arguments: dict[str, Json]) -> Json:
        try:
            return await dispatch(module, function, arguments)
        except CallPaused:
            why = await asyncio.to_thread(_why, code, [found.name for found in modules])
            raise CallFailed(
                f"{module}.{function} has to wait for a person, and a program on CPython cannot be paused. The call "
                f"was not made. Make it in a program of its own{why}",
                "PermissionError",
            ) from None

    return dispatched


def _why(code: str, servers: Sequence[str]) -> str:
    if ASKED.match(code):
        return " without the line `# engine: cpython`"
    found = gap(code, servers)
    return f" that does not use {found}" if found else " of plain functions, loops and asyncio.gather"
