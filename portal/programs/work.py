"""What one program has around it while it runs, and how it waits for a person in its own process.

The request that goes on with it brings a principal whose groups may have changed, the catalogue of now, and the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from portal.audit.audit import ProgramLog
from portal.catalogue.snapshot import Catalogue
from portal.gate import Session
from portal.programs.attendance import Attendance
from portal.programs.held import Arrival, Seat
from portal.programs.keeping import Keeping
from portal.programs.pauses import Pauses
from portal.programs.progress import Audience
from portal.programs.waiting import Waiting
from portal.sandbox.contract import Again, CallRevoked, Failure, Json, Pause, PendingCall
from shared_auth.principal import Principal


@dataclass(slots=True)
class Work:
    """``request`` is what the request that attends it executes, code or an id, and ``started`` when that came."""

    principal: Principal
    catalogue: Catalogue
    session: Session
    keeping: Keeping
    log: ProgramLog
    request: str
    audience: Audience
    started: float

    @property
    def elapsed_ms(self) -> float:
        """How long the request has been waiting."""
        return (time.perf_counter() - self.started) * 1_000

    def go_on(self, arrival: Arrival) -> None:
        """Go on for another request."""
        self.principal, self.catalogue, self.log = arrival.principal, arrival.catalogue, arrival.log
        self.request, self.started = arrival.request, arrival.started
        self.session.go_on(arrival.principal, arrival.catalogue, arrival.log)
        self.keeping.go_on(arrival.log)


class Holder:
    """Implements portal.sandbox.contract.Holding for one program."""

    def __init__(
        self,
        work: Work,
        attendance: Attendance,
        seat: Seat,
        pauses: Pauses,
        waiting: Waiting,
        *,
        instance: str,
        hold_s: float,
    ) -> None:
        self._work = work
        self._attendance = attendance
        self._seat = seat
        self._pauses = pauses
        self._waiting = waiting
        self._instance = instance
        self._hold_s = hold_s

    def reserve(self) -> bool:
        """Say whether there is a place for the program."""
        return self._seat.reserve()

    async def hold(self, pending: tuple[PendingCall, ...]) -> Again:
        """Say that the program waits, once that is stored and on the record, and wait for who goes on with it.

        Raises CallRevoked when it cannot be stored, NotGoneOn, AuditUnavailable. Whatever ends the wait, nobody goes on
        with the program afterwards.
        """
        work = self._work
        paused = await self._waiting.keep(
            *(work.principal, work.log, work.session.state, Pause(b"", pending)),
            holder=self._instance,
            life_s=self._hold_s,
        )
        if isinstance(paused, Failure):
            raise CallRevoked(paused.limit or "paused_programs", paused.message)
        try:
            async with self._seat.waiting(paused):
                await work.log.finish("paused")
                made = work.session.calls
                reply = await self._waiting.reply(
                    work.principal, paused, work.request, made, elapsed_ms=work.elapsed_ms
                )
                work.audience.leave()
                self._attendance.say(reply)
                arrival = await self._seat.arrival(paused)
        except BaseException:
            if (arrived := self._seat.arrived) is not None:
                # It was taken, and ends before it could go on: its end belongs on the record that was taken with it.
                work.go_on(arrived)
            else:
                await asyncio.shield(self._abandon(paused.id))
            raise
        work.go_on(arrival)
        work.audience.come(arrival.progress)

        async def again(call: PendingCall) -> Json:
            with work.audience.call(f"{call.module}.{call.function}"):
                return await work.keeping.stowed(await arrival.going.again(work.session, call))

        return again

    async def _abandon(self, pause_id: str) -> None:
        with contextlib.suppress(SQLAlchemyError):  # it expires by itself
            await self._pauses.abandon(pause_id)
