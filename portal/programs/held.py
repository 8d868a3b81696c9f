"""Programs that wait for a person in their own process: few, for a bounded time, in this process of the portal alone.

They run on CPython, which gives no snapshot. Each holds a process and its memory while it waits, so there is room for a
number of them and no more. Whoever goes on with one must reach this very process of the portal.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from portal.audit.audit import ProgramLog
from portal.catalogue.snapshot import Catalogue
from portal.programs.attendance import Attendance
from portal.programs.going import Going
from portal.programs.pauses import Paused, Person
from portal.programs.progress import Progress
from portal.programs.reply import Reply
from shared_auth.principal import Principal

GRACE_S = 5.0
"""A program that was taken in its last moment is on its way: until then it is not given up."""


class NotGoneOn(Exception):
    """Nobody went on with the program in time."""


class Gone(Exception):
    """The program does not wait any more: nothing of what was to go on has run."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many programs may be held here, how many of one person's, and each for how long."""

    programs: int = 8
    per_person: int = 2
    hold_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """The request that goes on with a program, and what it has taken for it."""

    principal: Principal
    catalogue: Catalogue
    log: ProgramLog
    going: Going
    request: str
    progress: Progress | None
    started: float


class Held:
    """The programs that this process holds."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._reserved: Counter[Person] = Counter()
        self._seats: dict[str, Seat] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Hold programs until left, which ends them."""
        try:
            yield self
        finally:
            await asyncio.gather(*(seat.attendance.end() for seat in list(self._seats.values())))

    def seat(self, person: Person, attendance: Attendance) -> Seat:
        """Return where a program of ``person`` may wait. Nothing is reserved yet."""
        return Seat(self, person, attendance)

    def find(self, pause_id: str) -> Seat | None:
        """Return where a program waits; None when it does not wait in this process."""
        return self._seats.get(pause_id)

    def reserve(self, person: Person) -> bool:
        """Take a place if there is one."""
        if self._reserved.total() >= self.room.programs or self._reserved[person] >= self.room.per_person:
            return False
        self._reserved[person] += 1
        return True

    def release(self, person: Person) -> None:
        """Give a place back."""
        self._reserved[person] -= 1
        if not self._reserved[person]:
            del self._reserved[person]

    def enter(self, pause_id: str, seat: Seat) -> None:
        """Let the program be found."""
        self._seats[pause_id] = seat

    def leave(self, pause_id: str) -> None:
        """Let it not be found any more."""
        self._seats.pop(pause_id, None)


class Seat:
    """One program's place. ``left`` when the program has ended."""

    def __init__(self, held: Held, person: Person, attendance: Attendance) -> None:
        self._held = held
        self._person = person
        self.attendance = attendance
        self._reserved = False
        self._arrival: asyncio.Future[Arrival] | None = None

    def reserve(self) -> bool:
        """Say whether the program may wait here; from the first yes on it may until it ends."""
        self._reserved = self._reserved or self._held.reserve(self._person)
        return self._reserved

    def left(self) -> None:
        """Give the place back."""
        if self._reserved:
            self._reserved = False
            self._held.release(self._person)

    @asynccontextmanager
    async def waiting(self, paused: Paused) -> AsyncIterator[None]:
        """Let a request find the program inside."""
        self._arrival = asyncio.get_running_loop().create_future()
        self._held.enter(paused.id, self)
        try:
            yield
        finally:
            self._held.leave(paused.id)
            # Whoever took the program a moment ago must learn that nobody is here to go on.
            self._arrival.cancel()

    @property
    def arrived(self) -> Arrival | None:
        """Who goes on with it, if anybody came while it waited: its record is theirs from then on."""
        if self._arrival is None or not self._arrival.done() or self._arrival.cancelled():
            return None
        return self._arrival.result()

    async def arrival(self, paused: Paused) -> Arrival:
        """Return who goes on with it. Raises NotGoneOn when nobody has by the time that ``paused`` says."""
        if self._arrival is None:
            raise RuntimeError("the program does not wait")
        try:
            async with asyncio.timeout(paused.expires_ms / 1_000 - time.time() + GRACE_S):
                return await self._arrival
        except TimeoutError:
            if (arrived := self.arrived) is not None:
                return arrived
            raise NotGoneOn from None

    async def go_on(self, arrival: Arrival) -> Reply:
        """Let the program go on for ``arrival`` and return its next reply, as Attendance.attend. Raises Gone."""
        if self._arrival is None or self._arrival.done():
            raise Gone
        self._arrival.set_result(arrival)
        return await self.attendance.attend()
