"""Questions to the database that requests wait for: a whole one is asked in one trip to a thread of its own.

Through an asyncio driver every step of a statement is a trip to another thread, five of them for one row of SQLite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")


class Ask(Protocol):
    """Returns what ``question`` finds with a connection; it must only read. Raises SQLAlchemyError."""

    async def __call__(self, question: Callable[[Connection], T]) -> T: ...


class Asking:
    """An Ask with a thread and a connection of ``engine`` that nobody else waits for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asking")

    async def __call__(self, question: Callable[[Connection], T]) -> T:
        """Return what ``question`` finds; see Ask."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    async def close(self) -> None:
        """Let go of the connection and the thread, after what is being asked."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=False)

    def _answer(self, question: Callable[[Connection], T]) -> T:
        try:
            return self._once(question)
        except (OperationalError, InterfaceError):
            # The connection may have died since the last question (a restarted server): a fresh one is tried.
            self._engine.dispose()
            return self._once(question)

    def _once(self, question: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return question(connection)


def through(engine: AsyncEngine) -> Ask:
    """Return an Ask on the connections that everybody uses."""

    async def ask(question: Callable[[Connection], T]) -> T:
        async with engine.connect() as connection:
            return await connection.run_sync(question)

    return ask
