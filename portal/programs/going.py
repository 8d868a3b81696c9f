"""A paused program in the hands of the process that goes on with it: until its first call it can still be put back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from portal.gate import Session
from portal.programs.pauses import Claimed, Paused, Pauses
from portal.sandbox.contract import PendingCall
from shared_auth.principal import Principal
from shared_auth.sealing import Unsealable


class Going:
    """``begun`` once a call of it may have been made: from then on it is never put back."""

    def __init__(self, pauses: Pauses, principal: Principal, paused: Paused, claimed: Claimed) -> None:
        self._pauses = pauses
        self._principal = principal
        self._paused = paused
        self.claimed = claimed
        self.begun = False

    @classmethod
    async def take(cls, pauses: Pauses, principal: Principal, paused: Paused, instance: str) -> Self | None:
        """Take a program that waits, for good; None when it cannot be had. Raises what Pauses.claim raises.

        Cancelled in the moment in which it is taken, it is put back: nobody would ever end it.
        """
        taking = asyncio.create_task(pauses.claim(principal, paused.id, instance))

        async def abandon() -> None:
            with contextlib.suppress(SQLAlchemyError, Unsealable):
                if (claimed := await taking) is not None:
                    await cls(pauses, principal, paused, claimed).put_back()

        try:
            claimed = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # A task of its own, that goes on: who is cancelled may not get to await anything more.
            await asyncio.shield(abandon())
            raise
        return None if claimed is None else cls(pauses, principal, paused, claimed)

    async def again(self, session: Session, call: PendingCall) -> Any:
        """Answer a call that waited, as its person has decided. Raises what Session.again raises."""
        self.begun = True
        return await session.again(call, agreed=call.id in self.claimed.agreed)

    async def put_back(self) -> bool:
        """Let it wait on if nothing of it has run here: there was no worker, or the client went away at once."""
        if self.begun:
            return False
        try:
            await self._pauses.give_back(self._principal, self._paused, self.claimed)
        except SQLAlchemyError:
            return False
        return True
