"""A program that waits for a person: where it stops, what is kept of it, and that it goes on in any worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from portal.sandbox.contract import (
    CallFailed,
    CallPaused,
    Json,
    Limits,
    Module,
    Options,
    Outcome,
    Pause,
    PendingCall,
    SandboxUnavailable,
)
from portal.sandbox.monty import MontySandbox
from portal.sandbox.snapshot import Snapshot
from tests.sandbox.conftest import DESK, LIMITS, Desk, children


class Asking(Desk):
    """A desk at which every ``echo`` of a value that is a string waits for a person, until it is asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[PendingCall] = []

    async def __call__(self, module: str, function: str, arguments: dict[str, Any]) -> Any:
        if function == "echo" and isinstance(arguments.get("value"), str):
            raise CallPaused({"why": arguments["value"]})
        return await super().__call__(module, function, arguments)

    async def allow(self, call: PendingCall) -> Json:
        self.again.append(call)
        await asyncio.sleep(0)
        return f"{call.arguments['value']}!"

    async def refuse(self, call: PendingCall) -> Json:
        self.again.append(call)
        raise CallFailed("no", "PermissionError")


async def paused(sandbox: MontySandbox, code: str, desk: Asking, limits: Limits = LIMITS) -> Pause:
    outcome = await sandbox.run(code, [DESK], desk, limits)
    assert outcome.failure is None, outcome.failure
    assert outcome.pause is not None
    return outcome.pause


async def go_on(
    sandbox: MontySandbox, pause: Pause, code: str, desk: Asking, limits: Limits = LIMITS, *, allow: bool = True
) -> Outcome:
    return await sandbox.resume(pause, code, [DESK], desk, limits, desk.allow if allow else desk.refuse)


@pytest.fixture
def desk() -> Asking:
    return Asking()


async def test_a_call_that_waits_stops_the_program_there_and_its_answer_starts_it_again(
    sandbox: MontySandbox, desk: Asking
) -> None:
    code = "import desk\nx = await desk.echo(1)\nprint('before')\ny = await desk.echo('a')\nprint('after')\n[x, y]"
    pause = await paused(sandbox, code, desk)
    assert [replace(call, size_bytes=0) for call in pause.pending] == [
        PendingCall(2, "desk", "echo", {"value": "a"}, {"why": "a"})
    ]
    outcome = await go_on(sandbox, pause, code, desk)
    assert (outcome.value, outcome.printed, outcome.pause) == ([1, "a!"], "before\nafter\n", None)
    assert [function for function, _ in desk.seen] == ["echo"]
    assert desk.again == list(pause.pending)


async def test_a_refusal_is_an_exception_that_the_program_can_handle(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import desk\ntry:\n    r = await desk.echo('a')\nexcept PermissionError as error:\n    r = f'refused: {error}'\nr"
    pause = await paused(sandbox, code, desk)
    assert (await go_on(sandbox, pause, code, desk, allow=False)).value == "refused: no"


async def test_a_refusal_that_is_not_handled_is_a_traceback_with_the_programs_lines(
    sandbox: MontySandbox, desk: Asking
) -> None:
    code = "import desk\nasync def f():\n    return await desk.echo('a')\nawait f()"
    pause = await paused(sandbox, code, desk)
    failure = (await go_on(sandbox, pause, code, desk, allow=False)).failure
    assert failure is not None
    assert failure.line == 3
    assert "return await desk.echo('a')" in failure.traceback
    assert failure.message == "PermissionError: no"


async def test_several_calls_may_wait_at_once_and_what_can_go_on_without_them_does(
    sandbox: MontySandbox, desk: Asking
) -> None:
    code = """\
import asyncio, desk
async def chain(n):
    for _ in range(3):
        n = await desk.echo(n + 1)
    await asyncio.sleep(0.01)
    return n
await asyncio.gather(desk.echo('a'), chain(10), desk.echo('b'), chain(20))"""
    pause = await paused(sandbox, code, desk)
    assert [call.need["why"] for call in pause.pending] == ["a", "b"]
    assert len(desk.seen) == 6
    assert desk.running == 0
    outcome = await go_on(sandbox, pause, code, desk)
    assert outcome.value == ["a!", 13, "b!", 23]
    assert len(desk.seen) == 6


async def test_a_program_may_wait_again_and_again(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import desk\nfound = []\nfor name in 'abc':\n    found.append(await desk.echo(name))\n''.join(found)"
    pause = await paused(sandbox, code, desk)
    for _ in range(2):
        outcome = await go_on(sandbox, pause, code, desk)
        assert outcome.pause is not None
        pause = outcome.pause
    assert (await go_on(sandbox, pause, code, desk)).value == "a!b!c!"
    assert [call.need["why"] for call in desk.again] == ["a", "b", "c"]


async def test_a_call_that_waits_once_more_is_pending_once_more(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import asyncio, desk\nawait asyncio.gather(desk.echo('a'), desk.echo('b'))"
    pause = await paused(sandbox, code, desk)

    async def only_b(call: PendingCall) -> Json:
        if call.need["why"] == "a":
            raise CallPaused({"why": "still a"})
        return "b!"

    outcome = await sandbox.resume(pause, code, [DESK], desk, LIMITS, only_b)
    assert outcome.pause is not None
    assert [call.need for call in outcome.pause.pending] == [{"why": "still a"}]
    assert (await go_on(sandbox, outcome.pause, code, desk)).value == ["a!", "b!"]


async def test_a_call_that_nobody_has_awaited_yet_may_wait_too(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import desk\nlater = desk.echo('a')\nx = await desk.echo(1)\n[x, await later]"
    pause = await paused(sandbox, code, desk)
    assert (await go_on(sandbox, pause, code, desk)).value == [1, "a!"]


async def test_imports_sleeps_and_clocks_work_after_a_pause(sandbox: MontySandbox, desk: Asking) -> None:
    code = """\
import desk
a = await desk.echo('a')
import asyncio, datetime, json
await asyncio.sleep(0.01)
async def g():
    import desk as again
    return await again.echo(value=4)
[a, await g(), datetime.datetime.now().year > 2000, json.dumps([1])]"""
    pause = await paused(sandbox, code, desk)
    assert (await go_on(sandbox, pause, code, desk)).value == ["a!", 4, True, "[1]"]


async def test_another_sandbox_goes_on_with_it(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import desk\nbig = ['x' * 1000] * 50\n[await desk.echo('a'), len(big)]"
    pause = await paused(sandbox, code, desk)
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1, checkers=1)) as other:
        assert (await go_on(other, pause, code, desk)).value == ["a!", 50]


@pytest.mark.parametrize(
    ("code", "limits", "limit"),
    [
        ("await desk.echo('a')\nawait desk.echo(1)", replace(LIMITS, calls=1), "calls"),
        ("await desk.echo('a')\nwhile True: pass", replace(LIMITS, cpu_s=0.3), "cpu_s"),
        ("await desk.echo('a')\nx = ['y' * 1_000_000 for _ in range(200)]", LIMITS, "memory_bytes"),
        ("await desk.echo('a')\ndef f(): return f()\nf()", LIMITS, "recursion"),
        ("await desk.echo('a')\nawait desk.block()", replace(LIMITS, wall_s=0.5), "wall_s"),
        ("await desk.echo('a')\n'x' * 3_000", replace(LIMITS, result_bytes=1_000), "result_bytes"),
    ],
)
async def test_every_limit_holds_after_a_pause(
    sandbox: MontySandbox, desk: Asking, code: str, limits: Limits, limit: str
) -> None:
    code = f"import desk\n{code}"
    pause = await paused(sandbox, code, desk, limits)
    failure = (await go_on(sandbox, pause, code, desk, limits)).failure
    assert failure is not None
    assert (failure.kind, failure.limit) == ("limit", limit)


async def test_what_was_used_before_a_pause_counts_after_it(sandbox: MontySandbox, desk: Asking) -> None:
    work = "for _ in range(200_000): pass"
    code = f"import desk\nprint('é' * 40)\n{work}\nawait desk.echo('a')\nprint('é' * 40)"
    limits = replace(LIMITS, print_bytes=100)
    pause = await paused(sandbox, code, desk, limits)
    before = Snapshot.of(pause.snapshot)
    assert before.cpu_us > 0
    assert (before.calls, before.printed, before.cut) == (1, "é" * 40 + "\n", False)
    outcome = await go_on(sandbox, pause, code, desk, limits)
    assert outcome.cpu_ms * 1_000 >= before.cpu_us
    assert outcome.printed.startswith("é" * 40 + "\n" + "é" * 9)
    assert outcome.printed.endswith("(print is cut at 100 bytes)")


@pytest.mark.parametrize(
    "code",
    ["x = ['%d' % i * 100 for i in range(2_000)]\nawait desk.echo('a')", "await desk.echo('a' * 60_000)"],
)
async def test_a_program_that_holds_too_much_where_it_waits_is_told(
    sandbox: MontySandbox, desk: Asking, code: str
) -> None:
    code = f"import desk\n{code}"
    outcome = await sandbox.run(code, [DESK], desk, replace(LIMITS, snapshot_bytes=50_000))
    assert outcome.pause is None
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.limit) == ("limit", "snapshot_bytes")


@pytest.mark.parametrize("change", [lambda state: state[: len(state) // 2], lambda _: b"", lambda _: b"\xff" * 2_000])
async def test_a_snapshot_that_does_not_load_makes_no_call(
    sandbox: MontySandbox, desk: Asking, change: Callable[[bytes], bytes]
) -> None:
    code = "import desk\nawait desk.echo('a')"
    pause = await paused(sandbox, code, desk)
    snapshot = Snapshot.of(pause.snapshot)
    broken = Pause(replace(snapshot, state=change(snapshot.state)).to_bytes(), pause.pending)
    try:
        outcome = await go_on(sandbox, broken, code, desk)
        assert outcome.failure is not None
    except SandboxUnavailable:
        pass
    assert desk.again == []
    assert (await sandbox.run("1", [], desk, LIMITS)).value == 1


async def test_a_worker_that_has_loaded_a_snapshot_never_serves_again(desk: Asking) -> None:
    code = "import desk\nawait desk.echo('a')"
    before = children()
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1, checkers=1)) as sandbox:
        pause = await paused(sandbox, code, desk)
        workers = children() - before
        await go_on(sandbox, pause, code, desk)
        assert (await sandbox.run("1", [], desk, LIMITS)).value == 1
        assert workers - children()


async def test_what_is_paused_holds_no_worker(desk: Asking) -> None:
    code = "import desk\nawait desk.echo('a')"
    before = children()
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=2, checkers=1)) as sandbox:
        pauses = [await paused(sandbox, code, desk) for _ in range(1_000)]
        assert len(children() - before) <= 3
        assert (await sandbox.run("1", [], desk, LIMITS)).value == 1
        assert (await go_on(sandbox, pauses[-1], code, desk)).value == "a!"


async def test_a_server_that_is_gone_when_a_program_goes_on_fails_only_the_calls_to_it(
    sandbox: MontySandbox, desk: Asking
) -> None:
    code = "import desk\na = await desk.echo('a')\ntry:\n    await desk.echo(1)\nexcept NameError:\n    a += ' gone'\na"
    pause = await paused(sandbox, code, desk)
    nothing: list[Module] = []
    outcome = await sandbox.resume(pause, code, nothing, desk, LIMITS, desk.allow)
    assert outcome.value == "a! gone"


async def test_cancelling_a_resumed_program_leaves_no_call_running(sandbox: MontySandbox, desk: Asking) -> None:
    code = "import desk\nawait desk.echo('a')\nawait desk.block()"
    pause = await paused(sandbox, code, desk)
    running = asyncio.create_task(go_on(sandbox, pause, code, desk))
    await desk.blocked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (desk.running, desk.cancelled) == (0, 1)


def test_a_pause_shows_nothing_of_its_snapshot() -> None:
    secret = Snapshot(b"hunter2", 0, 0, 0, 0.0, "", cut=False)
    assert "hunter2" not in repr(secret)
    assert "hunter2" not in repr(Outcome(pause=Pause(secret.to_bytes(), ())))
