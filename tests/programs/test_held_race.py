"""A held program that ends in the very moment in which somebody goes on with it: nothing runs, and the record says so."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest

from portal.programs.attendance import Attendance
from portal.programs.held import Arrival, Gone, Held, Room
from portal.programs.pauses import Pauses, Person
from tests.programs.standing import Standing
from tests.programs.test_held import ENGINE, ended, hold
from tests.programs.test_pauses import ADA, asking, decide, resume, rows

CODE = f"{ENGINE}import desk, os\nawait desk.add_item(name=str(os.getpid()))\nawait desk.drop_item(name='a')"
gone: set[str] = set()


async def ended_grants(grants: Collection[str]) -> set[str]:
    return gone & set(grants)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Standing]:
    gone.clear()
    async with asking(tmp_path, engines=True, ended=ended_grants) as found:
        yield found


@pytest.mark.parametrize("end", ["interrupted", "revoked"])
async def test_it_ends_while_it_is_taken(stand: Standing, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    pause_id = await hold(stand, CODE)
    await decide(stand, pause_id)
    claim = Pauses.claim

    async def late(self: Pauses, *given: Any) -> Any:
        claimed = await claim(self, *given)
        if end == "revoked":
            gone.add("grant-1")
        else:
            os.kill(int(stand.desk.items[0]), signal.SIGKILL)
        await ended(stand)
        return claimed

    monkeypatch.setattr(Pauses, "claim", late)
    reply = await resume(stand, pause_id)
    assert reply.startswith(f"failed: {end} · 1 call"), reply
    assert await stand.recorded() == [end]
    assert await rows(stand) == [(end, False, False)]
    assert stand.desk.called == ["add_item"]
    monkeypatch.setattr(Pauses, "claim", claim)
    assert (await resume(stand, pause_id)).startswith(f"failed: {end}")


async def test_it_ends_when_it_is_taken_and_has_not_noticed_yet(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause_id = await hold(stand, CODE)
    await decide(stand, pause_id)
    attend = Attendance.attend

    async def cut_short(self: Attendance) -> Any:
        # Who arrived is known by now, and the program's task has not run since: as when its process dies in that moment.
        assert self._task is not None
        self._task.cancel()
        return await attend(self)

    monkeypatch.setattr(Attendance, "attend", cut_short)
    with pytest.raises(asyncio.CancelledError):
        await resume(stand, pause_id)
    assert await stand.recorded() == ["cancelled"]
    assert await rows(stand) == [("resumed", False, False)]
    assert stand.desk.called == ["add_item"]


async def test_who_comes_after_it_was_left_is_told(stand: Standing) -> None:
    held, paused = Held(Room()), await stand.pauses.find(ADA, await hold(stand, CODE))
    assert paused is not None
    seat = held.seat(Person.of(ADA), Attendance())
    async with seat.waiting(paused):
        assert held.find(paused.id) is seat
    assert held.find(paused.id) is None
    with pytest.raises(Gone):
        await seat.go_on(Arrival(ADA, *[None] * 6))  # type: ignore[arg-type]
    assert seat.arrived is None
