"""How many calls may be in flight to one upstream, and who is next when all places are taken.

Persons take turns: one who has a thousand calls waiting delays another's single call by one place, not by a thousand.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable


class Turnstile:
    """The places of one upstream. Whoever enters must leave."""

    def __init__(self, places: int) -> None:
        self._free = places
        # Nobody waits while a place is free.
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def enter(self, who: Hashable) -> None:
        """Return when ``who`` has a place. Cancelled, it holds none."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(who, turn)
            else:
                # The place was given in the same moment.
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the next person in turn."""
        while self._waiting:
            who, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(who)
            else:
                del self._waiting[who]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, who: Hashable, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(who)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[who]


class Turnstiles:
    """One turnstile for each upstream."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._of: dict[str, Turnstile] = {}

    def of(self, upstream: str) -> Turnstile:
        """Return the turnstile of an upstream. Only configured names may be asked for: each is kept for ever."""
        return self._of.setdefault(upstream, Turnstile(self._places))
