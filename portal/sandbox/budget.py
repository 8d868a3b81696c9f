"""What one value may cost, in nodes, bytes and depth: counted while it is decoded, before anything is built."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

INLINE_NODES, INLINE_BYTES = 1_000, 65_536
"""What is decoded at once; more goes to a thread. By expansion, too: 100 bytes can stand for very much."""


READ_BYTES = 32
"""What a container of honest values takes for each of them: two node numbers, and what stands around them."""


class OverBudget(Exception):
    """The value is larger than allowed. ``limit`` names the field of Limits."""

    def __init__(self, limit: str, allowed: int) -> None:
        super().__init__(f"more than {allowed} {limit}")
        self.limit = limit
        self.allowed = allowed


class NotJson(Exception):
    """An argument has no JSON form. The message says which part, and what to pass instead."""


@dataclass(slots=True)
class Budget:
    """What one value, or all arguments of one call together, may still cost. ``limit_bytes`` names the bytes' limit."""

    nodes: int
    bytes: int
    depth: int
    limit_bytes: str
    spent_bytes: int = 0
    spent_nodes: int = 0
    spent_read: int = 0

    def inline(self) -> Budget:
        """Return the part of a fresh budget that may be spent on the event loop."""
        return Budget(min(self.nodes, INLINE_NODES), min(self.bytes, INLINE_BYTES), self.depth, self.limit_bytes)

    def pay(self, size: int) -> None:
        """Charge one node of ``size`` bytes. Raises OverBudget."""
        self.spent_nodes += 1
        self.spent_bytes += size
        if self.spent_nodes > self.nodes:
            raise OverBudget("nodes", self.nodes)
        if self.spent_bytes > self.bytes:
            raise OverBudget(self.limit_bytes, self.bytes)

    def read(self, size: int) -> None:
        """Charge ``size`` bytes that are looked through before it is known what stands in them. Raises OverBudget.

        Else a container of a megabyte that holds nothing, visited for each of 200,000 nodes, would cost hours.
        """
        self.spent_read += size
        if self.spent_read > READ_BYTES * self.nodes + self.bytes:
            raise OverBudget("nodes", self.nodes)


async def decoded(decode: Callable[[Budget], T], budget: Budget) -> tuple[T, int]:
    """Return what ``decode`` makes within ``budget``, and how many bytes it spent: small values at once, others in a
    thread. Raises what ``decode`` raises.
    """
    small = budget.inline()
    try:
        return decode(small), small.spent_bytes
    except OverBudget as error:
        # Nesting has the same bound in both, and both may be the same altogether.
        if error.limit == "depth" or (small.nodes, small.bytes) == (budget.nodes, budget.bytes):
            raise
    return await asyncio.to_thread(decode, budget), budget.spent_bytes
