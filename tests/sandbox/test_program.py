"""What a program may rely on, and what it may not do: the contract, on workers without a jail."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from portal.sandbox import calls
from portal.sandbox.calls import Answer
from portal.sandbox.contract import Limits, Module, Options, Outcome, SandboxUnavailable
from portal.sandbox.monty import MontySandbox
from tests.sandbox.conftest import DESK, LIMITS, Desk, children


async def run(sandbox: MontySandbox, code: str, desk: Desk | None = None, limits: Limits = LIMITS) -> Outcome:
    return await sandbox.run(code, [DESK], desk or Desk(), limits)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", 2),
        ("return 5", 5),
        ("x = 1\nif x:\n    return 7\n8", 7),
        ("x = 1", None),
        ("import desk\nawait desk.echo([1, {'a': None}])", [1, {"a": None}]),
        ("import desk\nawait desk.echo(value='é\\n\\x00')", "é\n\x00"),
        ("import desk as d\nawait d.echo(True)", True),
        ("from desk import echo\nawait echo(-2**63)", -(2**63)),
        ("from desk import echo as e\nawait e(2**200)", 2**200),
        ("import desk, asyncio\nawait asyncio.gather(desk.echo(1), desk.echo(2))", [1, 2]),
        ("async def main():\n    import desk\n    return await desk.echo(3)\nawait main()", 3),
        ("(1, {2}, frozenset({3}))", [1, [2], [3]]),
        ("{1: 'a', None: 'b', (1, 2): 'c', 2.5: 'd'}", {"1": "a", "null": "b", "(…)": "c", "2.5": "d"}),
        ("import datetime as d\n[d.date(2020, 1, 2), d.datetime(2020, 1, 2, 3, tzinfo=d.timezone.utc), d.timedelta(1)]",
         ["2020-01-02", "2020-01-02T03:00:00+00:00", 86400.0]),
        ("[float('nan'), float('inf'), 0.5]", ["NaN", "Infinity", 0.5]),
        ("b'ab'", "YWI="),
        ("from decimal import Decimal\n[Decimal('1.50'), Decimal('NaN')]", ["1.50", "NaN"]),
        ("class P:\n    def __init__(self): self.x = 1\nP()", {"x": 1}),
        ("import collections\ncollections.namedtuple('P', 'a b')(1, 2)", {"a": 1, "b": 2}),
        ("a = []\na.append(a)\na", ["[...]"]),
        ("10 ** 400", "<an integer of 1336 bits>"),
    ],
)  # fmt: skip
async def test_a_program_returns_the_value_of_its_last_expression_as_json(
    sandbox: MontySandbox, code: str, value: Any
) -> None:
    outcome = await run(sandbox, code)
    assert outcome.failure is None
    assert outcome.value == value


async def test_print_is_captured_and_not_shown(sandbox: MontySandbox, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = await run(sandbox, "import sys\nprint('one', 2)\nprint('three', file=sys.stderr)\n4")
    assert (outcome.printed, outcome.value) == ("one 2\nthree\n", 4)
    assert capfd.readouterr() == ("", "")


async def test_print_is_cut_at_the_limit_and_says_so(sandbox: MontySandbox) -> None:
    outcome = await run(sandbox, "for i in range(1000): print('é' * 10)\n1", limits=replace(LIMITS, print_bytes=101))
    assert outcome.value == 1
    kept, _, note = outcome.printed.partition("\n… ")
    assert len(kept.encode()) in {100, 101}
    assert note == "(print is cut at 101 bytes)"


async def test_arguments_are_named_after_the_parameters(sandbox: MontySandbox, desk: Desk) -> None:
    await run(
        sandbox, "import desk\nawait desk.echo(1, 2)\nawait desk.echo(1, other=3)\nawait desk.echo(value=4)", desk
    )
    assert [arguments for _, arguments in desk.seen] == [
        {"value": 1, "other": 2},
        {"value": 1, "other": 3},
        {"value": 4},
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("echo(1, 2, 3)", "TypeError: echo() takes 2 positional arguments but 3 were given"),
        ("echo(1, value=2)", "TypeError: echo() got multiple values for argument 'value'"),
        (
            "echo(valu=2)",
            "TypeError: echo() has no parameter 'valu'; did you mean 'value'? Its parameters are: value, other",
        ),
        ("echo(b'x')", "TypeError: echo(): bytes (decode them, or use base64) has no JSON form"),
        ("echo(float('nan'))", "TypeError: echo(): nan is no JSON number; pass None or leave it out"),
        ("echo({(1, 2): 3})", "TypeError: echo(): a dictionary key must be a string, not a tuple or an object"),
        ("echo(10 ** 400)", "TypeError: echo(): an integer of more than 309 digits; pass it as a string"),
        ("echo(print)", "TypeError: echo(): a function has no JSON form"),
        ("echo('x' * 1000)", "ValueError: echo(): the arguments of one call may hold at most 500 bytes"),
        ("echo([[[[[1]]]]])", "ValueError: echo(): the arguments of one call may hold at most 4 levels of nesting"),
        ("echo([1] * 60)", "ValueError: echo(): the arguments of one call may hold at most 50 values"),
    ],
)
async def test_a_call_that_cannot_be_made_is_an_exception_that_says_why(
    sandbox: MontySandbox, desk: Desk, call: str, said: str
) -> None:
    tight = replace(LIMITS, argument_bytes=500, depth=4, nodes=50)
    outcome = await run(sandbox, f"import desk\nawait desk.{call}", desk, tight)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message, outcome.failure.line) == ("raised", said, 2)
    caught = await run(
        sandbox, f"import desk\ntry:\n    await desk.{call}\nexcept Exception as e:\n    r = str(e)\nr", desk, tight
    )
    assert caught.value == said.partition(": ")[2]
    assert desk.seen == []


async def test_a_failed_call_raises_its_exception_in_the_program(sandbox: MontySandbox) -> None:
    caught = await run(
        sandbox, "import desk\ntry:\n    await desk.fail('no such issue')\nexcept ValueError as e:\n    r = str(e)\nr"
    )
    assert caught.value == "no such issue"
    gathered = await run(
        sandbox,
        "import desk, asyncio\nasync def one(i):\n    try:\n        return await desk.fail(str(i)) if i % 2 else await desk.echo(i)\n"
        "    except ValueError as e:\n        return 'error ' + str(e)\nawait asyncio.gather(*[one(i) for i in range(4)])",
    )
    assert gathered.value == [0, "error 1", 2, "error 3"]
    uncaught = await run(sandbox, "import desk\n\nasync def f():\n    await desk.fail('no')\n\nawait f()")
    assert uncaught.failure is not None
    assert uncaught.failure.kind == "raised"
    assert uncaught.failure.line == 4
    assert uncaught.failure.traceback.split("\n") == [
        "Traceback (most recent call last):",
        '  File "program.py", line 6, in <module>',
        "    await f()",
        "    ~~~~~~~~~",
        '  File "program.py", line 4, in f',
        "    await desk.fail('no')",
        "    ~~~~~~~~~~~~~~~~~~~~~",
        "ValueError: no",
    ]


async def test_a_revoked_program_ends_at_once_and_cannot_catch_it(sandbox: MontySandbox, desk: Desk) -> None:
    code = "import desk\ntry:\n    await desk.revoke()\nexcept BaseException:\n    await desk.echo('after')\n'caught'"
    outcome = await run(sandbox, code, desk)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.limit, outcome.failure.message) == (
        "limit", "writes_per_program", "the budget is spent",
    )  # fmt: skip
    assert [name for name, _ in desk.seen] == ["revoke"]


async def test_revoking_ends_a_program_that_is_computing(sandbox: MontySandbox, desk: Desk) -> None:
    code = "import desk, asyncio\nasync def spin():\n    await desk.echo(1)\n    while True: pass\nawait asyncio.gather(spin(), desk.revoke())"
    outcome = await run(sandbox, code, desk, replace(LIMITS, cpu_s=60.0, wall_s=60.0))
    assert outcome.failure is not None
    assert outcome.failure.limit == "writes_per_program"


async def test_calls_in_flight_are_bounded(sandbox: MontySandbox, desk: Desk) -> None:
    code = "import desk, asyncio\nlen(await asyncio.gather(*[desk.block() for _ in range(9)]))"
    task = asyncio.create_task(run(sandbox, code, desk, replace(LIMITS, in_flight=3)))
    await desk.blocked.wait()
    # By the time that a whole program has run beside it, all nine have been asked for.
    assert (
        await run(sandbox, "import desk, asyncio\nlen(await asyncio.gather(*[desk.echo(i) for i in range(40)]))")
    ).value == 40
    assert desk.running == 3
    desk.gate.set()
    assert (await task).value == 9
    assert desk.most_running == 3


async def test_what_waiting_calls_hold_together_is_bounded(sandbox: MontySandbox, desk: Desk) -> None:
    code = "import desk, asyncio\ns = 'x' * 900\nawait asyncio.gather(*[desk.block(s) for i in range(18)])"
    failure = (await run(sandbox, code, desk, replace(LIMITS, argument_bytes=1_000))).failure
    assert failure is not None
    assert failure.message == "ValueError: the calls in flight hold too much; await the earlier ones first"
    assert (desk.most_running, desk.running) == (17, 0)


async def test_calls_are_counted(sandbox: MontySandbox, desk: Desk) -> None:
    outcome = await run(sandbox, "import desk\nfor i in range(9): await desk.echo(i)", desk, replace(LIMITS, calls=5))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.limit) == ("limit", "calls")
    assert len(desk.seen) == 5


async def test_the_wall_clock_ends_a_program_that_waits_and_its_calls(sandbox: MontySandbox, desk: Desk) -> None:
    outcome = await run(
        sandbox,
        "import desk, asyncio\nawait asyncio.gather(desk.block(), desk.block())",
        desk,
        replace(LIMITS, wall_s=0.2),
    )
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.limit) == ("limit", "wall_s")
    assert (desk.cancelled, desk.running) == (2, 0)


async def test_waiting_for_calls_costs_no_processor_time(sandbox: MontySandbox, desk: Desk) -> None:
    task = asyncio.create_task(run(sandbox, "import desk\nawait desk.block()", desk, replace(LIMITS, cpu_s=0.05)))
    await desk.blocked.wait()
    await asyncio.sleep(0.2)
    desk.gate.set()
    outcome = await task
    assert outcome.value == "through"
    assert outcome.cpu_ms < 50


async def test_calls_that_nobody_awaits_are_settled_before_the_program_ends(sandbox: MontySandbox, desk: Desk) -> None:
    outcome = await run(sandbox, "import desk\ndesk.block()\ndesk.block()\n1", desk)
    assert outcome.value == 1
    assert (desk.running, desk.cancelled) == (0, 2)


@pytest.mark.parametrize(
    "code",
    ["import desk\nawait desk.block()", "import desk, asyncio\nawait asyncio.gather(desk.block(), desk.block())"],
)
async def test_cancelling_the_caller_kills_the_program_and_settles_its_calls(
    sandbox: MontySandbox, desk: Desk, code: str
) -> None:
    task = asyncio.create_task(run(sandbox, code, desk))
    await desk.blocked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.running == 0
    assert desk.cancelled >= 1
    assert (await run(sandbox, "1 + 1")).value == 2


async def test_a_defect_in_a_dispatch_is_not_shown_as_the_programs(sandbox: MontySandbox) -> None:
    async def broken(module: str, function: str, arguments: dict[str, object]) -> object:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await sandbox.run("import desk\nawait desk.echo(1)", [DESK], broken, LIMITS)
    assert (await run(sandbox, "1 + 1")).value == 2


async def test_a_call_that_returns_what_is_not_json_fails(sandbox: MontySandbox) -> None:
    async def odd(module: str, function: str, arguments: dict[str, object]) -> object:
        return {"x": object()}

    outcome = await sandbox.run("import desk\nawait desk.echo(1)", [DESK], odd, LIMITS)
    assert outcome.failure is not None
    assert outcome.failure.message == "RuntimeError: the call returned a value that is not JSON"


async def test_large_values_cross_in_both_directions(sandbox: MontySandbox, desk: Desk) -> None:
    outcome = await run(
        sandbox, "import desk\nrows = await desk.big(5000)\nlen(rows), rows[4999][:3], rows[:2000]", desk
    )
    assert outcome.value[:2] == [5000, "xxx"]
    assert outcome.value[2] == ["x" * 100] * 2000


async def test_nothing_of_a_program_is_left_for_the_next_one() -> None:
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1)) as one:
        assert (await run(one, "secret = 'a'\nimport desk\ndef f(): return secret\n1")).value == 1
        for code in ("secret", "f()", "desk"):
            outcome = await run(one, code)
            assert outcome.failure is not None
            assert outcome.failure.message.startswith("NameError")


async def test_a_program_sees_only_the_modules_it_was_given(sandbox: MontySandbox) -> None:
    other = Module("other", (), "")
    outcome = await sandbox.run("import desk", [other], Desk(), LIMITS)
    assert outcome.failure is not None
    assert outcome.failure.kind == "invalid"
    assert outcome.failure.hint == "servers that this program may import: other"


@pytest.mark.parametrize(
    ("code", "line", "hint"),
    [
        ("x = 1\ndef f():\n    yield 1", 3, "collect the values in a list"),
        ("class E(Exception):\n    pass", 1, "built-in exception"),
        ("class A:\n    @property\n    def x(self): return 1", 2, "plain method"),
        ("import asyncio\nasync def f():\n    async with x:\n        pass", 3, "asyncio.gather"),
        ("x = 1\ndel x", 2, "assign None"),
        ("try:\n    pass\nexcept* ValueError:\n    pass", 1, "plain except"),
        ("import statistics", 1, "sum(xs) / len(xs)"),
        ("from collections import OrderedDict", 1, "use dict"),
        ("x = (", 1, "unexpected EOF"),
        ("from math import *", 1, "name what you import"),
    ],
)
async def test_what_cannot_run_is_invalid_and_says_what_to_write_instead(
    sandbox: MontySandbox, code: str, line: int, hint: str
) -> None:
    failure = (await run(sandbox, code)).failure
    assert failure is not None
    assert (failure.kind, failure.line) == ("invalid", line)
    assert hint in f"{failure.message}; {failure.hint}"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import asyncio\nasyncio.create_task(1)", "await it with asyncio.gather"),
        ("import asyncio\nasyncio.wait_for(1, 2)", "its own deadline"),
        (
            "import asyncio, desk\nawait asyncio.gather(desk.echo(1), return_exceptions=True)",
            "catch the error inside each coroutine",
        ),
    ],
)
async def test_a_missing_function_says_what_to_use_instead(sandbox: MontySandbox, code: str, hint: str) -> None:
    failure = (await run(sandbox, code)).failure
    assert failure is not None
    assert failure.kind == "raised"
    assert hint in f"{failure.message}; {failure.hint}"


async def test_a_program_cannot_pretend_that_nothing_ran(sandbox: MontySandbox) -> None:
    code = (
        "import desk\nawait desk.echo(1)\nraise NotImplementedError('The monty syntax parser does not yet support x')"
    )
    failure = (await run(sandbox, code)).failure
    assert failure is not None
    assert failure.kind == "raised"


async def test_killed_workers_cost_the_programs_on_them_and_nothing_else(sandbox: MontySandbox, desk: Desk) -> None:
    others = children()
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=2)) as struck:
        beside = Desk()
        spared = asyncio.create_task(run(sandbox, "import desk\nawait desk.block()", beside))
        task = asyncio.create_task(run(struck, "import desk\nawait desk.block()", desk))
        await asyncio.gather(desk.blocked.wait(), beside.blocked.wait())
        for pid in children() - others:
            os.kill(pid, signal.SIGKILL)
        # The call that the program waits for never ends: its death is known all the same.
        outcome = await task
        assert outcome.failure is not None
        assert outcome.failure.kind == "crashed"
        assert (await run(struck, "1 + 1")).value == 2
        assert await struck.check("1", []) == []
        beside.gate.set()
        assert (await spared).value == "through"


async def test_programs_wait_for_a_worker_and_give_up() -> None:
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1, checkout_timeout_s=0.1)) as one:
        desk = Desk()
        task = asyncio.create_task(run(one, "import desk\nawait desk.block()", desk))
        await desk.blocked.wait()
        with pytest.raises(SandboxUnavailable, match="every sandbox worker was busy"):
            await run(one, "1")
        desk.gate.set()
        assert (await task).value == "through"
        assert (await run(one, "1")).value == 1


async def test_a_worker_serves_a_bounded_number_of_programs() -> None:
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1, checkouts_per_worker=3)) as one:
        seen = set()
        for _ in range(9):
            seen |= children()
            assert (await run(one, "1")).value == 1
        assert len(seen) >= 3


async def test_closing_ends_what_runs_and_leaves_no_process() -> None:
    before = children()
    desk = Desk()
    async with MontySandbox(Options(jail="off", min_workers=2)) as opened:
        task = asyncio.create_task(run(opened, "import desk\nawait desk.block()", desk))
        await desk.blocked.wait()
    with pytest.raises(SandboxUnavailable):
        await task
    assert desk.running == 0
    assert children() == before
    with pytest.raises(SandboxUnavailable):
        await run(opened, "1")


async def test_a_program_may_sleep_for_as_long_as_it_may_run(
    sandbox: MontySandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    async def sleep(duration_s: float) -> Answer:
        asked.append(duration_s)
        return Answer()

    monkeypatch.setattr(calls, "_sleep", sleep)
    code = "import asyncio\nawait asyncio.gather(asyncio.sleep(700), asyncio.sleep(10_000))\n'awake'"
    outcome = await run(sandbox, code, limits=replace(LIMITS, wall_s=900.0))
    assert outcome.value == "awake"
    assert sorted(asked) == [700.0, 900.0]


async def test_what_is_printed_is_told_as_it_comes_and_no_more_than_may_be_printed(sandbox: MontySandbox) -> None:
    told: list[str] = []
    code = "import desk\nprint('one')\nawait desk.echo(1)\nprint('two' * 100)"
    outcome = await sandbox.run(code, [DESK], Desk(), replace(LIMITS, print_bytes=20), told.append)
    assert "".join(told) == "one\ntwotwotwotwotwot"
    assert outcome.printed.startswith("".join(told))


async def test_printing_is_told_of_while_the_program_waits(sandbox: MontySandbox, desk: Desk) -> None:
    heard = asyncio.Event()
    code = "import desk\nprint('before')\nawait desk.block()"
    running = asyncio.create_task(sandbox.run(code, [DESK], desk, LIMITS, lambda _text: heard.set()))
    await asyncio.wait_for(heard.wait(), 10)
    assert not running.done()
    desk.gate.set()
    assert (await running).value == "through"
