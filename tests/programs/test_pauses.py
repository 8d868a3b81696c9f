"""A program that needs a person: paused, decided, gone on with, once; and everything that must not go on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from portal.programs.pauses import Person
from portal.programs.programs import Programs
from portal.programs.reply import Reply
from portal.sandbox.contract import Outcome, SandboxUnavailable
from portal.upstream.failures import UpstreamFailure
from shared_auth.principal import Principal
from tests.programs.standing import WRITER, Standing, standing, timeless

ASKING = """\
@id("drops-after-a-yes")
@ask("Dropping cannot be undone.")
permit (principal in Role::"writer", action == Action::"destructive", resource);
"""
Cancelled = Callable[[Coroutine[Any, Any, str], asyncio.Event], Awaitable[None]]
ADA = replace(WRITER, grant_id="grant-1", client_name="An agent")
ME = Person.of(ADA)
DROP = "import desk\nawait desk.add_item(name='a')\nprint('so far')\nr = await desk.drop_item(name='a')\n[r, 'done']"


@asynccontextmanager
async def asking(folder: Path, **settings: Any) -> AsyncIterator[Standing]:
    policy = folder / "asking.cedar"
    policy.write_text(ASKING, encoding="utf-8")
    async with standing(folder, policies=[policy], **settings) as found:
        yield found


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Standing]:
    async with asking(tmp_path) as found:
        yield found


async def pause(stand: Standing, code: str = DROP, principal: Principal = ADA) -> str:
    """Run ``code`` until it is paused, and return the id."""
    reply = await stand.programs.execute(principal, code)
    assert reply.text.startswith("paused"), reply.text
    return id_in(reply)


def id_in(reply: Reply) -> str:
    found = re.search(r'resume="([0-9a-f]+)"', reply.text)
    assert found is not None, reply.text
    return found[1]


async def decide(stand: Standing, pause_id: str, *, allow: bool = True) -> bool:
    asked = await stand.pauses.asked(ME, pause_id)
    assert asked is not None
    return await stand.pauses.decide(ME, pause_id, [c.id for c in asked.pending] if allow else [], how="page")


async def resume(stand: Standing, pause_id: str, principal: Principal = ADA) -> str:
    return timeless((await stand.programs.resume(principal, pause_id)).text)


async def rows(stand: Standing) -> list[tuple[str, bool, bool]]:
    """Return the state of every pause, oldest first, and whether anything sealed is left of it."""
    async with stand.engine.connect() as connection:
        found = await connection.execute(
            text("SELECT state, length(pending) > 0, length(snapshot) > 0 FROM paused_programs ORDER BY created_ms, id")
        )
        return [(row[0], bool(row[1]), bool(row[2])) for row in found]


async def calls(stand: Standing) -> list[tuple[str, str, str]]:
    async with stand.engine.connect() as connection:
        found = await connection.execute(
            text("SELECT tool, decision, outcome FROM audit_calls ORDER BY program_id, position")
        )
        return [(row[0], row[1], row[2]) for row in found]


async def test_the_reply_says_what_waits_why_and_how_it_goes_on(stand: Standing) -> None:
    reply = await stand.programs.execute(ADA, DROP)
    pause_id = id_in(reply)
    assert not reply.is_error
    lines = timeless(reply.text).split("\n")
    assert lines[0] == "paused · 1 call · N ms"
    assert lines[1].endswith(f"has decided, at https://portal.example/programs/{pause_id}")
    assert '  desk.drop_item(name="a"): Dropping cannot be undone.' in lines
    assert lines[-4:] == ["calls already made:", "  desk.add_item → ok (write, N ms)", "--- printed", "so far"]
    assert await stand.recorded() == ["paused"]
    assert await rows(stand) == [("waiting", True, True)]
    assert stand.desk.called == ["add_item"]


async def test_after_a_yes_it_goes_on_where_it_stopped(stand: Standing) -> None:
    pause_id = await pause(stand)
    assert await decide(stand, pause_id)
    reply = await resume(stand, pause_id)
    assert reply.startswith('ok · 2 calls · N ms\n["Ignore') is False
    assert stand.desk.called == ["add_item", "drop_item"]
    assert await rows(stand) == [("resumed", False, False)]
    assert await calls(stand) == [
        ("add_item", "allow", "ok"),
        ("drop_item", "ask", "asked"),
        ("drop_item", "agreed", "upstream"),
    ]


async def test_what_the_call_came_to_reaches_the_program(stand: Standing) -> None:
    code = (
        "import desk\ntry:\n    await desk.drop_item(name='a')\nexcept RuntimeError as e:\n    r = 'vendor said no'\nr"
    )
    pause_id = await pause(stand, code)
    await decide(stand, pause_id)
    assert (await resume(stand, pause_id)) == 'ok · 1 call · N ms\n"vendor said no"'
    assert await stand.recorded() == ["ok"]


async def test_a_no_is_a_permission_error_and_nothing_is_sent(stand: Standing) -> None:
    code = "import desk\ntry:\n    await desk.drop_item(name='a')\nexcept PermissionError as e:\n    r = str(e)\nr"
    pause_id = await pause(stand, code)
    assert await decide(stand, pause_id, allow=False)
    reply = await resume(stand, pause_id)
    assert reply.startswith('ok · 1 call · N ms\n"desk.drop_item: refused by the person')
    assert stand.desk.called == []
    assert await calls(stand) == [("drop_item", "ask", "asked"), ("drop_item", "refused", "refused")]


async def test_of_several_calls_each_is_decided_by_itself(stand: Standing) -> None:
    code = """\
import asyncio, desk
async def drop(name):
    try:
        return await desk.drop_item(name=name)
    except (PermissionError, RuntimeError) as error:
        return type(error).__name__
await asyncio.gather(drop('a'), desk.get_items(), drop('b'), drop('c'))"""
    pause_id = await pause(stand, code)
    asked = await stand.pauses.asked(ME, pause_id)
    assert asked is not None
    assert [call.arguments for call in asked.pending] == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    await stand.pauses.decide(ME, pause_id, [asked.pending[1].id], how="page")
    reply = await resume(stand, pause_id)
    assert '["PermissionError", [], "RuntimeError", "PermissionError"]' in reply
    assert stand.desk.called == ["get_items", "drop_item"]


async def test_undecided_it_says_the_same_again_and_runs_nothing(stand: Standing) -> None:
    pause_id = await pause(stand)
    reply = await resume(stand, pause_id)
    assert reply.startswith("paused")
    assert pause_id in reply
    assert stand.desk.called == ["add_item"]
    assert await rows(stand) == [("waiting", True, True)]


async def test_who_asks_early_is_kept_waiting_for_the_decision(tmp_path: Path) -> None:
    async with asking(tmp_path, resume_wait_s=20.0) as stand:
        pause_id = await pause(stand)
        going = asyncio.create_task(resume(stand, pause_id))
        await asyncio.sleep(0)
        assert await decide(stand, pause_id)
        await going
        assert stand.desk.called == ["add_item", "drop_item"]


@pytest.mark.requirement("RS-70", "RS-72")
@pytest.mark.parametrize(
    "other",
    [
        replace(ADA, subject="bob"),
        replace(ADA, issuer="https://other.example"),
        replace(ADA, client_id="agent-2"),
        replace(ADA, grant_id="grant-2"),
    ],
)
async def test_to_anybody_else_it_is_not_there(stand: Standing, other: Principal) -> None:
    pause_id = await pause(stand)
    await decide(stand, pause_id)
    assert await resume(stand, pause_id, other) == await resume(stand, "f" * 40, other)
    assert stand.desk.called == ["add_item"]
    assert await rows(stand) == [("approved", True, True)]


@pytest.mark.requirement("RS-71")
async def test_ids_are_random_and_each_is_another_one(stand: Standing) -> None:
    found = {await pause(stand) for _ in range(5)}
    assert len(found) == 5
    assert all(re.fullmatch("[0-9a-f]{40}", pause_id) for pause_id in found)


@pytest.mark.requirement("RS-70", "RS-74", "RS-76")
async def test_only_its_person_can_decide_and_only_once(stand: Standing) -> None:
    pause_id = await pause(stand)
    for other in (Person("https://other.example", "ada"), Person(ME.issuer, "bob")):
        assert await stand.pauses.asked(other, pause_id) is None
        assert not await stand.pauses.decide(other, pause_id, [2], how="page")
        assert await stand.pauses.waiting(other) == []
    assert await decide(stand, pause_id, allow=False)
    assert not await decide(stand, pause_id)
    assert await rows(stand) == [("refused", True, True)]


@pytest.mark.requirement("RS-74")
async def test_a_second_resume_runs_nothing_and_tells_what_was_done(stand: Standing) -> None:
    pause_id = await pause(stand)
    await decide(stand, pause_id)
    await resume(stand, pause_id)
    again = await resume(stand, pause_id)
    assert again.startswith("failed: raised")
    assert "never run twice" in again
    assert "desk.drop_item → upstream (destructive, may have taken effect, N ms)" in again
    assert stand.desk.called == ["add_item", "drop_item"]


@pytest.mark.requirement("RS-74")
async def test_of_many_at_once_exactly_one_goes_on(tmp_path: Path) -> None:
    async with asking(tmp_path, per_principal=20) as stand:
        pause_id = await pause(stand)
        await decide(stand, pause_id)
        replies = await asyncio.gather(*(resume(stand, pause_id) for _ in range(10)))
        assert stand.desk.called == ["add_item", "drop_item"]
        assert sum("never run twice" not in reply and "another request" not in reply for reply in replies) == 1


async def test_it_may_wait_again_and_its_first_id_still_finds_it(stand: Standing) -> None:
    code = """\
import desk
found = []
for name in ('a', 'b'):
    try:
        await desk.drop_item(name=name)
    except RuntimeError:
        found.append(name)
found"""
    first = await pause(stand, code)
    await decide(stand, first)
    second = await resume(stand, first)
    assert second.startswith("paused · 1 call")
    same = await resume(stand, first)
    (again,) = set(re.findall(r'resume="([0-9a-f]+)"', second + same))
    assert again != first
    await decide(stand, again)
    assert await resume(stand, again) == 'ok · 2 calls · N ms\n["a", "b"]'
    assert await stand.recorded() == ["ok"]
    assert [state for state, _, _ in await rows(stand)] == ["resumed", "resumed"]


@pytest.mark.requirement("RS-73")
async def test_after_its_time_it_does_not_go_on_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    now_ms = 1_000_000
    async with asking(tmp_path, pausing={"life_s": 60.0, "now_ms": lambda: now_ms}) as stand:
        late = await pause(stand)
        await decide(stand, late)
        undecided = await pause(stand)
        now_ms += 60_000
        for pause_id in (late, undecided):
            assert (await resume(stand, pause_id)).startswith("failed: expired")
        assert not await decide(stand, undecided)
        await stand.pauses.sweep()
        assert (await resume(stand, late)).startswith(
            "failed: expired · 1 call\nNobody decided, or nobody asked again, in time"
        )
        assert await rows(stand) == [("expired", False, False)] * 2
        assert await stand.recorded() == ["expired"] * 2
        assert stand.desk.called == ["add_item"] * 2


@pytest.mark.requirement("RS-73")
async def test_when_its_grant_ends_it_does_not_go_on(tmp_path: Path) -> None:
    gone: set[str] = set()

    async def ended(grant_ids: Collection[str]) -> set[str]:
        return gone & set(grant_ids)

    async with asking(tmp_path, ended=ended) as stand:
        pause_id = await pause(stand)
        await decide(stand, pause_id)
        undecided = await pause(stand)
        gone.add(ADA.grant_id)
        assert await stand.pauses.waiting(ME) == []
        assert not await decide(stand, undecided)
        assert (await resume(stand, pause_id)).startswith("failed: revoked")
        assert await rows(stand) == [("revoked", False, False)] * 2
        assert await stand.recorded() == ["revoked"] * 2


async def test_so_many_may_wait_and_the_next_is_ended_with_a_clear_limit(stand: Standing) -> None:
    for _ in range(5):
        await pause(stand)
    reply = await stand.run(DROP, ADA)
    assert reply.startswith("failed: limit")
    assert "limit paused_programs" in reply
    assert "desk.add_item → ok" in reply
    bob = replace(ADA, subject="bob")
    assert id_in(await stand.programs.execute(bob, DROP))
    assert len(await stand.pauses.waiting(ME)) == 5


@pytest.mark.requirement("RS-75")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE paused_programs SET snapshot = pending",
        "UPDATE paused_programs SET pending = snapshot",
        "UPDATE paused_programs SET snapshot = x'00'",
        "UPDATE paused_programs SET grant_id = 'grant-1', subject = 'bob'",
        "UPDATE paused_programs SET id = 'ffff'",
        "UPDATE paused_programs SET agreed = '[2]'",
        "UPDATE paused_programs SET agreed = (SELECT agreed FROM paused_programs WHERE state = 'refused')",
    ],
)
async def test_what_was_changed_is_refused_and_never_loaded(
    stand: Standing, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await decide(stand, await pause(stand), allow=False)
    pause_id = await pause(stand)
    await decide(stand, pause_id)
    async with stand.engine.begin() as connection:
        where = "" if "WHERE" in change else " WHERE state = 'approved'"
        await connection.execute(text(change + where))
    monkeypatch.setattr(stand.sandbox, "resume", None)
    principal = replace(ADA, subject="bob") if "bob" in change else ADA
    reply = await resume(stand, "ffff" if "ffff" in change else pause_id, principal)
    assert reply.startswith("failed: lost")
    assert "approved" in [state for state, _, _ in await rows(stand)]
    assert stand.desk.called == ["add_item"] * 2


async def test_what_another_release_kept_is_refused_and_never_loaded(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause_id = await pause(stand)
    await decide(stand, pause_id)
    monkeypatch.setattr("portal.programs.pauses.FORMAT", "monty 9.9.9, 1")
    monkeypatch.setattr(stand.sandbox, "resume", None)
    assert (await resume(stand, pause_id)).startswith("failed: lost")


@pytest.mark.requirement("RS-75")
async def test_the_database_shows_no_argument_and_no_value(stand: Standing, tmp_path: Path) -> None:
    await pause(stand, "import desk\nx = 'hun' + 'ter2'\nawait desk.drop_item(name=x)")
    content = b"".join(path.read_bytes() for path in tmp_path.glob("portal.db*"))
    assert b"Dropping cannot" not in content
    assert b"hunter2" not in content


@pytest.mark.requirement("RS-77")
async def test_policy_is_asked_again_with_what_the_person_may_do_now(stand: Standing) -> None:
    code = "import desk\ntry:\n    await desk.drop_item(name='a')\nexcept LookupError as e:\n    r = str(e)\nr"
    pause_id = await pause(stand, code)
    await decide(stand, pause_id)
    reply = await resume(stand, pause_id, replace(ADA, groups=frozenset()))
    assert "no tool desk.drop_item" in reply
    assert stand.desk.called == []


async def test_a_client_that_acts_for_itself_has_nobody_to_ask(stand: Standing) -> None:
    robot = replace(ADA, subject="client:build", client_id="build")
    reply = await stand.run("import desk\nawait desk.drop_item(name='a')", robot)
    assert "a person has to agree" in reply
    assert await rows(stand) == []


async def test_an_account_that_is_not_connected_pauses_and_connecting_it_is_enough(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = False
    original = stand.programs._gate._rules.upstreams.call

    async def call(server: str, tool: str, arguments: dict[str, Any], principal: Principal, timeout_s: float) -> Any:
        if not connected:
            raise UpstreamFailure(server, "connect", "not connected")
        return await original(server, tool, arguments, principal, timeout_s)

    monkeypatch.setattr(stand.programs._gate._rules.upstreams, "call", call)
    reply = await stand.programs.execute(ADA, "import desk\nawait desk.add_item(name='a')")
    assert "connect your desk account at https://portal.example/connect/desk" in reply.text
    assert reply.pause is not None
    assert reply.pause.address == "https://portal.example/connect/desk"
    first = id_in(reply)
    still = await resume(stand, first)
    assert still.startswith("paused")
    connected = True
    (second,) = re.findall(r'resume="([0-9a-f]+)"', still)
    assert await resume(stand, second) == "ok · 1 call · N ms\n1"
    assert stand.desk.items == ["a"]


async def test_a_permission_that_is_missing_pauses_and_granting_it_is_enough(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = False
    original = stand.programs._gate._rules.upstreams.call

    async def call(server: str, tool: str, *given: Any) -> Any:
        if tool == "add_item" and not granted:
            raise UpstreamFailure(server, "scope", "not granted", scopes=("api", "write_repository"))
        return await original(server, tool, *given)

    monkeypatch.setattr(stand.programs._gate._rules.upstreams, "call", call)
    reply = await stand.programs.execute(ADA, "import desk\nawait desk.get_items()\nawait desk.add_item(name='a')")
    address = "https://portal.example/connect/desk?scope=api+write_repository"
    assert f"grant api, write_repository of your desk account at {address}" in reply.text
    assert reply.pause is not None
    assert reply.pause.address == address
    still = await resume(stand, id_in(reply))
    assert still.startswith("paused")
    granted = True
    (second,) = re.findall(r'resume="([0-9a-f]+)"', still)
    assert await resume(stand, second) == "ok · 2 calls · N ms\n1"
    assert stand.desk.called == ["get_items", "add_item"]
    assert [call for call in await calls(stand) if call[0] == "add_item"] == [
        ("add_item", "allow", "scope"),
        ("add_item", "allow", "scope"),
        ("add_item", "allow", "ok"),
    ]


async def test_a_client_that_acts_for_itself_is_told_what_is_missing(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(server: str, *_: Any) -> Any:
        raise UpstreamFailure(server, "scope", "Your desk account has not granted api", scopes=("api",))

    monkeypatch.setattr(stand.programs._gate._rules.upstreams, "call", call)
    robot = replace(WRITER, subject="client:ci", client_id="ci")
    reply = await stand.run("import desk\nawait desk.add_item(name='a')", robot)
    assert "PermissionError: desk.add_item: Your desk account has not granted api" in reply
    assert await rows(stand) == []


async def test_an_agreed_call_that_then_needs_an_account_is_not_asked_about_again(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(server: str, *_: Any) -> Any:
        raise UpstreamFailure(server, "connect", "not connected")

    pause_id = await pause(stand, "import desk\nawait desk.drop_item(name='a')")
    await decide(stand, pause_id)
    monkeypatch.setattr(stand.programs._gate._rules.upstreams, "call", call)
    reply = await resume(stand, pause_id)
    assert "connect your desk account" in reply
    monkeypatch.undo()
    (second,) = re.findall(r'resume="([0-9a-f]+)"', reply)
    await resume(stand, second)
    assert stand.desk.called == ["drop_item"]


async def test_without_a_worker_it_waits_on_and_nothing_is_lost(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: Any) -> Outcome:
        raise SandboxUnavailable("every sandbox worker was busy")

    pause_id = await pause(stand)
    await decide(stand, pause_id)
    monkeypatch.setattr(stand.sandbox, "resume", busy)
    assert "busy" in await resume(stand, pause_id)
    assert await rows(stand) == [("approved", True, True)]
    assert await stand.recorded() == ["paused"]
    monkeypatch.undo()
    await resume(stand, pause_id)
    assert stand.desk.called == ["add_item", "drop_item"]


async def by_task(work: Coroutine[Any, Any, str], when: asyncio.Event) -> None:
    going = asyncio.create_task(work)
    await when.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going


async def by_scope(work: Coroutine[Any, Any, str], when: asyncio.Event) -> None:
    """As the endpoint's transport does: who is cancelled so is cancelled again at whatever they await next."""

    async def stop() -> None:
        await when.wait()
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        await work


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("cancelled", [by_task, by_scope])
@pytest.mark.parametrize("where", ["sandbox", "claim"])
async def test_a_client_that_goes_away_before_the_first_call_loses_nothing(
    stand: Standing, monkeypatch: pytest.MonkeyPatch, cancelled: Cancelled, where: str
) -> None:
    begun, pause_id = asyncio.Event(), await pause(stand)
    claim = stand.pauses.claim

    async def slow(*_: Any) -> Outcome:
        begun.set()
        await asyncio.sleep(60)
        return Outcome()

    async def slow_claim(*arguments: Any) -> Any:
        claimed = await claim(*arguments)
        begun.set()
        await asyncio.sleep(0.1)
        return claimed

    await decide(stand, pause_id)
    if where == "sandbox":
        monkeypatch.setattr(stand.sandbox, "resume", slow)
    else:
        monkeypatch.setattr(stand.pauses, "claim", slow_claim)
    await cancelled(resume(stand, pause_id), begun)

    async def is_back() -> bool:
        return await rows(stand) == [("approved", True, True)]

    await until(is_back)
    assert await stand.recorded() == ["paused"]
    monkeypatch.undo()
    await resume(stand, pause_id)
    assert stand.desk.called == ["add_item", "drop_item"]


@pytest.mark.parametrize("cancelled", [by_task, by_scope])
async def test_a_client_that_goes_away_after_it_ends_the_program(stand: Standing, cancelled: Cancelled) -> None:
    code = "import desk\ntry:\n    await desk.drop_item(name='a')\nexcept RuntimeError: pass\nawait desk.wait()"
    pause_id = await pause(stand, code)
    await decide(stand, pause_id)
    await cancelled(resume(stand, pause_id), stand.desk.waiting)

    async def is_recorded() -> bool:
        return await stand.recorded() == ["cancelled"]

    await until(is_recorded)
    assert (await resume(stand, pause_id)).startswith("failed: cancelled · 2 calls")
    assert stand.desk.called == ["drop_item", "wait"]


@pytest.mark.parametrize("cancelled", [by_task, by_scope])
async def test_a_client_that_goes_away_from_a_program_that_never_waited_ends_it(
    stand: Standing, cancelled: Cancelled
) -> None:
    await cancelled(stand.run("import desk\nawait desk.wait()", ADA), stand.desk.waiting)

    async def is_recorded() -> bool:
        return await stand.recorded() == ["cancelled"]

    await until(is_recorded)


@pytest.mark.requirement("RS-76")
async def test_an_answer_in_the_client_counts_only_where_settings_let_it(stand: Standing, tmp_path: Path) -> None:
    reply = await stand.programs.execute(ADA, DROP)
    assert reply.pause is not None
    assert not reply.pause.client
    text_of = (await stand.programs.answered(ADA, reply.pause.carried, DROP, answer="yes")).text
    assert text_of.startswith("paused")
    assert stand.desk.called == ["add_item"]
    (tmp_path / "other").mkdir()
    async with asking(tmp_path / "other", agree_in_client=True) as other:
        reply = await other.programs.execute(ADA, DROP)
        assert reply.pause is not None
        assert reply.pause.client
        await other.programs.answered(ADA, reply.pause.carried, DROP, answer="yes")
        assert other.desk.called == ["add_item", "drop_item"]


@pytest.mark.requirement("RS-78")
async def test_what_a_client_carries_back_fits_its_own_request_alone(stand: Standing) -> None:
    reply = await stand.programs.execute(ADA, DROP)
    assert reply.pause is not None
    await decide(stand, id_in(reply))
    carried = reply.pause.carried
    wrong: list[tuple[Principal, str, str]] = [
        (ADA, carried, DROP + "\n1"),
        (replace(ADA, grant_id="grant-2"), carried, DROP),
        (replace(ADA, subject="bob"), carried, DROP),
        (ADA, carried[:-4], DROP),
        (ADA, "", DROP),
        (ADA, "é" * 40, DROP),
        (ADA, id_in(reply), DROP),
    ]
    for principal, state, request in wrong:
        assert "no paused program" in (await stand.programs.answered(principal, state, request, answer="shown")).text
    assert stand.desk.called == ["add_item"]
    await stand.programs.answered(ADA, carried, DROP, answer="shown")
    assert stand.desk.called == ["add_item", "drop_item"]


async def test_the_order_of_the_programs_own_prints_and_numbers_goes_on(stand: Standing) -> None:
    code = """\
import desk
print('one')
for i in range(3):
    await desk.add_item(name=f'{i}')
try:
    await desk.drop_item(name='a')
except RuntimeError:
    print('two')
await desk.get_items()"""
    pause_id = await pause(stand, code)
    await decide(stand, pause_id)
    assert await resume(stand, pause_id) == 'ok · 5 calls · N ms\n["0", "1", "2"]\n--- printed\none\ntwo'
    async with stand.engine.connect() as connection:
        places = list(await connection.scalars(text("SELECT position FROM audit_calls ORDER BY position")))
    assert places == list(range(6))


def test_programs_have_no_other_way_to_go_on() -> None:
    ways = {name for name in vars(Programs) if not name.startswith("_")}
    assert ways == {"execute", "resume", "answered"}
