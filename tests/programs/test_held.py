"""A program on CPython that waits for its person in its own process: said so, gone on with once, ended by everything that
must end it, and never found anywhere else.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portal.audit.verify import verify
from portal.programs import held
from portal.programs.held import Room
from portal.upstream.failures import UpstreamFailure
from shared_auth.principal import Principal
from tests.programs.standing import READER, Standing, timeless
from tests.programs.test_pauses import ADA, ME, asking, calls, decide, id_in, resume, rows

ENGINE = "# engine: cpython\n"
DROP = f"""\
{ENGINE}import desk
await desk.add_item(name='a')
print('so far')
try:
    r = await desk.drop_item(name='a')
except (RuntimeError, PermissionError) as e:
    r = type(e).__name__
[r, len(await desk.get_items())]
"""
BUSY = "no more programs on CPython can wait now"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Standing]:
    async with asking(tmp_path, engines=True) as found:
        yield found


@asynccontextmanager
async def replicas(folder: Path, **settings: Any) -> AsyncIterator[tuple[Standing, Standing]]:
    """Yield two portals on one database and one desk."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(asking(folder, engines=True, instance="one", **settings))
        second = await stack.enter_async_context(
            asking(folder, engines=True, instance="two", desk=first.desk, **settings)
        )
        yield first, second


async def hold(stand: Standing, code: str = DROP, principal: Principal = ADA) -> str:
    """Run ``code`` until it is held, and return the id."""
    reply = await stand.programs.execute(principal, code)
    assert "It waits in its process until then" in reply.text, reply.text
    return id_in(reply)


async def processes(stand: Standing) -> int:
    """Return how many processes programs hold."""
    return int(stand.sandbox._cpython._pool._busy)


async def ended(stand: Standing) -> None:
    """Return once no program holds a process."""
    async with asyncio.timeout(20):
        while await processes(stand):
            await asyncio.sleep(0.02)


async def test_the_reply_says_that_it_waits_in_its_process(stand: Standing) -> None:
    reply = await stand.programs.execute(ADA, DROP)
    lines = timeless(reply.text).split("\n")
    assert lines[0] == "paused · 1 call · N ms"
    assert "It waits in its process until then, and is lost if the portal restarts; it is never run twice." in lines
    assert "Nothing is lost" not in reply.text
    assert reply.pause is not None
    assert await stand.recorded() == ["paused"]
    assert await rows(stand) == [("waiting", True, True)]
    assert await processes(stand) == 1


@pytest.mark.parametrize(
    ("allow", "answer", "called"),
    [
        (True, '["RuntimeError",1]', ["add_item", "drop_item", "get_items"]),
        (False, '["PermissionError",1]', ["add_item", "get_items"]),
    ],
)
async def test_it_goes_on_as_its_person_has_decided(
    stand: Standing, allow: bool, answer: str, called: list[str]
) -> None:
    pause_id = await hold(stand)
    assert await decide(stand, pause_id, allow=allow)
    reply = await resume(stand, pause_id)
    assert reply.startswith("ok · ")
    assert answer in reply.replace(" ", "")
    assert reply.endswith("--- printed\nso far")
    assert stand.desk.called == called
    assert await stand.recorded() == ["ok"]
    assert await rows(stand) == [("resumed", False, False)]
    assert await calls(stand) == [
        ("add_item", "allow", "ok"),
        ("drop_item", "ask", "asked"),
        ("drop_item", "agreed", "upstream") if allow else ("drop_item", "refused", "refused"),
        ("get_items", "allow", "ok"),
    ]
    [chain] = (await verify(stand.engine)).chains
    assert (chain.programs, chain.fault) == (1, "")
    await ended(stand)


async def test_before_the_decision_it_waits_on_and_afterwards_it_goes_on_once(stand: Standing) -> None:
    pause_id = await hold(stand)
    assert (await resume(stand, pause_id)).startswith("paused")
    assert await decide(stand, pause_id)
    replies = await asyncio.gather(*(resume(stand, pause_id) for _ in range(2)))
    assert sum(reply.startswith("ok") for reply in replies) == 1
    assert stand.desk.called.count("drop_item") == 1
    assert "has gone on already" in await resume(stand, pause_id)


async def test_a_program_may_wait_again(stand: Standing) -> None:
    code = f"{ENGINE}import desk\nfor n in 'ab':\n    try:\n        await desk.drop_item(name=n)\n    except RuntimeError:\n        pass\n'done'"
    first = await hold(stand, code)
    await decide(stand, first)
    again = await resume(stand, first)
    assert "It waits in its process" in again
    [second] = re.findall(r'resume="([0-9a-f]+)"', again)
    assert second != first
    await decide(stand, second)
    assert '"done"' in await resume(stand, second)
    assert stand.desk.called == ["drop_item", "drop_item"]


async def test_an_account_that_is_not_connected_is_waited_for(stand: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = False
    upstreams = stand.programs._gate._rules.upstreams
    original = upstreams.call

    async def call(server: str, *given: Any) -> Any:
        if not connected:
            raise UpstreamFailure(server, "connect", "not connected")
        return await original(server, *given)

    monkeypatch.setattr(upstreams, "call", call)
    first = await hold(stand, f"{ENGINE}import desk\nawait desk.add_item(name='a')")
    [second] = re.findall(r'resume="([0-9a-f]+)"', await resume(stand, first))
    connected = True
    assert (await resume(stand, second)).startswith("ok · 1 call · N ms\n1")


async def test_what_the_person_may_by_then_is_what_counts(stand: Standing) -> None:
    code = f"{ENGINE}import desk\ntry:\n    await desk.drop_item(name='a')\nexcept LookupError as e:\n    r = 'no such tool'\nr"
    pause_id = await hold(stand, code)
    await decide(stand, pause_id)
    reply = await resume(stand, pause_id, replace(ADA, groups=frozenset()))
    assert '"no such tool"' in reply
    assert stand.desk.called == []


async def test_it_belongs_to_its_person_client_and_grant(stand: Standing) -> None:
    pause_id = await hold(stand)
    await decide(stand, pause_id)
    for other in (READER, replace(ADA, client_id="agent-2"), replace(ADA, grant_id="grant-2")):
        assert "There is no paused program with this id" in await resume(stand, pause_id, other)
    assert stand.desk.called == ["add_item"]


async def test_without_room_the_call_fails_and_room_is_given_back(tmp_path: Path) -> None:
    async with asking(tmp_path, engines=True, room=Room(programs=8, per_person=1)) as stand:
        first = await hold(stand)
        code = f"{ENGINE}import desk\ntry:\n    await desk.drop_item(name='b')\nexcept PermissionError as e:\n    r = str(e)\nr"
        assert BUSY in (await stand.programs.execute(ADA, code)).text
        await hold(stand, code, replace(ADA, subject="eve"))
        await decide(stand, first)
        await resume(stand, first)
        await hold(stand, code)


async def test_there_is_room_for_so_many_in_all(tmp_path: Path) -> None:
    async with asking(tmp_path, engines=True, room=Room(programs=1, per_person=2)) as stand:
        await hold(stand)
        other = replace(ADA, subject="eve")
        assert (
            BUSY in (await stand.programs.execute(other, f"{ENGINE}import desk\nawait desk.drop_item(name='b')")).text
        )


async def test_what_waits_does_not_count_as_running(tmp_path: Path) -> None:
    async with asking(tmp_path, engines=True, per_principal=1) as stand:
        pause_id = await hold(stand)
        assert (await stand.run("1", ADA)).startswith("ok")
        await decide(stand, pause_id)
        assert (await resume(stand, pause_id)).startswith("ok")


async def test_nobody_comes_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "GRACE_S", 0.1)
    async with asking(tmp_path, engines=True, room=Room(hold_s=0.5)) as stand:
        pause_id = await hold(stand)
        await ended(stand)
        async with asyncio.timeout(10):
            while await stand.recorded() != ["expired"]:
                await asyncio.sleep(0.02)
        assert await rows(stand) == [("expired", False, False)]
        assert "Nobody decided, or nobody asked again, in time" in await resume(stand, pause_id)
        await hold(stand)
        await hold(stand)  # there is room for two again


async def test_a_grant_that_ends_ends_it(tmp_path: Path) -> None:
    gone: set[str] = set()

    async def ended_grants(grants: Collection[str]) -> set[str]:
        return gone & set(grants)

    async with asking(tmp_path, engines=True, ended=ended_grants) as stand:
        pause_id = await hold(stand)
        await decide(stand, pause_id)
        gone.add("grant-1")
        await ended(stand)
        async with asyncio.timeout(10):
            while await stand.recorded() != ["revoked"]:
                await asyncio.sleep(0.02)
        assert "The access that it ran with has ended" in await resume(stand, pause_id)
        assert stand.desk.called == ["add_item"]


@pytest.mark.parametrize("seen", [False, True])
async def test_on_any_replica_a_request_that_waits_for_it_hears_that_its_grant_has_ended(
    tmp_path: Path, *, seen: bool
) -> None:
    gone: set[str] = set()

    async def ended_grants(grants: Collection[str]) -> set[str]:
        return gone & set(grants)

    async with replicas(tmp_path, ended=ended_grants, resume_wait_s=60.0) as (first, second):
        pause_id = await hold(first)
        waiting = [asyncio.create_task(resume(stand, pause_id)) for stand in (first, second)]
        gone.add("grant-1")
        if seen:  # its page ends the row before its own process knows
            asked = await second.pauses.asked(ME, pause_id)
            assert asked is not None
            assert (asked.state, asked.outcome) == ("revoked", "revoked")
        async with asyncio.timeout(20):
            replies = await asyncio.gather(*waiting)
        await ended(first)
        replies += [await resume(stand, pause_id) for stand in (first, second)]
        for reply in replies:
            assert reply.startswith("failed: revoked")
            assert "The access that it ran with has ended, so it does not go on." in reply
            assert reply.endswith("calls already made:\n  desk.add_item → ok (write, N ms)")
        assert await first.recorded() == ["revoked"]
        assert await rows(first) == [("revoked", False, False)]
        assert first.desk.called == ["add_item"]
        verdict = await verify(first.engine)
        assert (verdict.whole, verdict.unchained) == (
            True,
            1,
        )  # revoked while it was paused: it has no place in a chain


async def test_another_replica_says_where_it_waits_and_never_runs_it(tmp_path: Path) -> None:
    async with replicas(tmp_path) as (first, second):
        pause_id = await hold(first)
        assert "It waits in its process" in await resume(second, pause_id)
        await decide(second, pause_id)
        reply = await resume(second, pause_id)
        assert "in a process of the portal that this request did not reach" in reply
        assert reply.endswith("calls already made:\n  desk.add_item → ok (write, N ms)")
        assert await second.pauses.claim(ADA, pause_id, "two") is None
        assert first.desk.called == ["add_item"]
        assert await rows(first) == [("approved", True, True)]
        assert (await resume(first, pause_id)).startswith("ok")
        assert first.desk.called == ["add_item", "drop_item", "get_items"]


async def test_a_portal_that_stops_ends_it_and_says_so_afterwards(tmp_path: Path) -> None:
    async with asking(tmp_path, engines=True, instance="one") as stand:
        pause_id = await hold(stand)
        await decide(stand, pause_id)
    async with asking(tmp_path, engines=True, instance="one") as stand:
        assert await stand.recorded() == ["interrupted"]
        reply = await resume(stand, pause_id)
        assert "stopped before it ended. It is never run twice." in reply
        assert "desk.add_item" in reply
        assert stand.desk.called == []


async def test_its_process_dies_while_it_waits(stand: Standing) -> None:
    code = f"{ENGINE}import desk, os\nawait desk.add_item(name=str(os.getpid()))\nawait desk.drop_item(name='a')"
    pause_id = await hold(stand, code)
    await decide(stand, pause_id)

    os.kill(int(stand.desk.items[0]), signal.SIGKILL)
    await ended(stand)
    async with asyncio.timeout(10):
        while await stand.recorded() != ["interrupted"]:
            await asyncio.sleep(0.02)
    assert "It is never run twice" in await resume(stand, pause_id)
    assert stand.desk.called == ["add_item"]


async def test_a_client_that_goes_away_ends_a_program_that_went_on(stand: Standing) -> None:
    code = f"{ENGINE}import desk\ntry:\n    await desk.drop_item(name='a')\nexcept RuntimeError:\n    pass\nawait desk.wait()"
    pause_id = await hold(stand, code)
    await decide(stand, pause_id)
    going = asyncio.create_task(resume(stand, pause_id))
    await stand.desk.waiting.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await ended(stand)
    assert await stand.recorded() == ["cancelled"]


async def test_a_client_that_goes_away_before_it_waits_ends_it(stand: Standing) -> None:
    code = f"{ENGINE}import desk\nawait desk.wait()\nawait desk.drop_item(name='a')"
    running = asyncio.create_task(stand.programs.execute(ADA, code))
    await stand.desk.waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(stand)
    assert await stand.recorded() == ["cancelled"]
    assert await rows(stand) == []
