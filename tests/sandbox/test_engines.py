"""Both engines behind one contract: programs as agents write them run, and which Python ran is decided safely."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from portal.programs.presenting import Shown
from portal.programs.reply import succeeded
from portal.sandbox.contract import CallPaused, Json, Limits, Options, PendingCall
from portal.sandbox.engines import Engines
from portal.sandbox.gaps import gap
from portal.sections import SandboxSection
from tests.sandbox.conftest import DESK, LIMITS, Desk
from tests.sandbox.realistic import MODULES, programs, world
from tests.sandbox.test_jail import needs_jail

pytestmark = pytest.mark.asyncio(loop_scope="module")
CORPUS = programs()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Engines]:
    """With the engine that a portal has unless settings say otherwise."""
    engine = SandboxSection().engine
    async with Engines(Options(jail="require", engine=engine, min_workers=2, warm_children=3)) as opened:
        yield opened


async def test_the_corpus_is_large_and_every_program_has_a_name_of_its_own() -> None:
    assert len(CORPUS) >= 190
    assert len({name for name, _, _ in CORPUS}) == len(CORPUS)


@needs_jail
@pytest.mark.parametrize(("name", "code", "value"), CORPUS, ids=[name for name, _, _ in CORPUS])
async def test_a_realistic_program_returns_what_it_should(both: Engines, name: str, code: str, value: Any) -> None:
    outcome = await both.run(code, MODULES, world, Limits(wall_s=20.0))
    assert outcome.failure is None, outcome
    assert outcome.value == value
    reply = succeeded(outcome, [], Shown(json.dumps(outcome.value)), elapsed_ms=1.0).text
    assert ("(ran on cpython)" in reply) == (outcome.engine == "cpython")
    assert "(ran on monty)" not in reply


@needs_jail
@pytest.mark.parametrize(("name", "code", "value"), CORPUS, ids=[name for name, _, _ in CORPUS])
async def test_cpython_alone_returns_the_same(both: Engines, name: str, code: str, value: Any) -> None:
    if "from __future__" in code:
        code = code.replace("\n", "  # engine\n", 1)
    outcome = await both.run(f"# engine: cpython\n{code}", MODULES, world, Limits(wall_s=20.0))
    assert (outcome.value, outcome.failure) == (value, None)


@needs_jail
async def test_what_monty_can_do_runs_on_monty(both: Engines) -> None:
    assert (await both.run("import desk\nawait desk.echo(2)", [DESK], Desk(), LIMITS)).engine == "monty"


@needs_jail
async def test_a_program_may_ask_for_cpython(both: Engines) -> None:
    assert (await both.run("# engine: cpython\n1 + 1", [], Desk(), LIMITS)).engine == "cpython"
    assert (await both.run("x = 1\n# engine: cpython\n1 + 1", [], Desk(), LIMITS)).engine == "monty"


@needs_jail
async def test_a_gap_that_shows_after_a_call_is_not_run_again(both: Engines) -> None:
    desk = Desk()
    code = "import desk\nawait desk.echo(1)\nf = (1).bit_count\nf()"
    assert gap(code, ["desk"]) == ""
    outcome = await both.run(code, [DESK], desk, LIMITS)
    assert outcome.failure is not None
    assert outcome.engine == "monty"
    assert "# engine: cpython" in outcome.failure.hint
    assert desk.seen == [("echo", {"value": 1})]


@needs_jail
async def test_a_gap_that_shows_before_any_call_runs_again_and_calls_once(both: Engines) -> None:
    desk = Desk()
    code = "import desk\nf = (1).bit_count\nn = f()\nawait desk.echo(n)"
    assert gap(code, ["desk"]) == ""
    outcome = await both.run(code, [DESK], desk, LIMITS)
    assert (outcome.engine, outcome.value) == ("cpython", 1)
    assert desk.seen == [("echo", {"value": 1})]


@needs_jail
async def test_an_error_of_the_program_itself_stays_where_it_happened(both: Engines) -> None:
    outcome = await both.run("1 / 0", [], Desk(), LIMITS)
    assert outcome.failure is not None
    assert (outcome.engine, outcome.failure.message) == ("monty", "ZeroDivisionError: division by zero")


@needs_jail
async def test_a_failure_on_cpython_shows_the_programs_own_lines(both: Engines) -> None:
    code = "import statistics\ndef ratio(a, b):\n    return a / b\nratio(1, 0)"
    outcome = await both.run(code, [], Desk(), LIMITS)
    assert outcome.failure is not None
    assert outcome.failure.line == 3
    assert outcome.failure.traceback.splitlines() == [
        "Traceback (most recent call last):",
        '  File "program.py", line 4, in <module>',
        "    ratio(1, 0)",
        "    ~~~~~~~~~~~",
        '  File "program.py", line 3, in ratio',
        "    return a / b",
        "           ~~~~~",
        "ZeroDivisionError: division by zero",
    ]


@needs_jail
@pytest.mark.parametrize(
    ("code", "line"),
    [("import uuid\nx = (1", 2), ("import uuid\nyield 1", 2), ("class A(B): pass\nreturn 1 +", 2)],
)
async def test_what_does_not_parse_is_invalid_with_its_line(both: Engines, code: str, line: int) -> None:
    outcome = await both.run(code, [], Desk(), LIMITS)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.line) == ("invalid", line)


@needs_jail
async def test_calls_in_flight_are_bounded_on_cpython_too(both: Engines) -> None:
    desk = Desk()
    code = "# engine: cpython\nimport desk, asyncio\nawait asyncio.gather(*[desk.block(i) for i in range(100)])\n1"
    running = asyncio.create_task(both.run(code, [DESK], desk, Limits(in_flight=7)))
    await desk.blocked.wait()
    desk.gate.set()
    assert (await running).value == 1
    assert desk.most_running <= 7
    assert len(desk.seen) == 100


@needs_jail
async def test_a_revoked_program_ends_on_cpython_too(both: Engines) -> None:
    code = "# engine: cpython\nimport desk\ntry:\n    await desk.revoke()\nexcept BaseException:\n    pass\n1"
    outcome = await both.run(code, [DESK], Desk(), LIMITS)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.limit) == ("limit", "writes_per_program")


@needs_jail
async def test_cancelling_kills_the_program_and_its_calls(both: Engines) -> None:
    desk = Desk()
    running = asyncio.create_task(both.run("# engine: cpython\nimport desk\nawait desk.block()", [DESK], desk, LIMITS))
    await desk.blocked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (desk.cancelled, desk.running) == (1, 0)


@needs_jail
async def test_the_type_check_trusts_only_what_it_knows_of_a_program_for_cpython(both: Engines) -> None:
    fine = "import asyncio, desk, uuid\nasync with asyncio.timeout(1):\n    await desk.echo(str(uuid.uuid4()))"
    assert await both.check(fine, [DESK]) == []
    wrong = "import desk, uuid\nawait desk.echo(str(uuid.uuid4()), colour=1)\nawait desk.ecko()"
    assert [finding.line for finding in await both.check(wrong, [DESK])] == [2, 3]


@needs_jail
async def test_large_values_come_and_go(both: Engines) -> None:
    code = "# engine: cpython\nimport desk\nrows = await desk.big(2000)\nreturn [len(rows), rows]"
    outcome = await both.run(code, [DESK], Desk(), Limits())
    assert outcome.value is not None
    assert outcome.value[0] == 2000
    assert len(json.dumps(outcome.value)) > 200_000


async def test_closed_over_running_programs_says_so() -> None:
    desk = Desk()
    async with Engines(Options(jail="degrade", engine="monty+cpython", min_workers=1, warm_children=1)) as opened:
        code = "# engine: cpython\nimport desk\nawait desk.block()"
        if not opened.layers()[-1].active:
            pytest.skip("this kernel or container does not offer every layer")
        running = asyncio.create_task(opened.run(code, [DESK], desk, LIMITS))
        await desk.blocked.wait()
    with pytest.raises(Exception, match="closing"):
        await running


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import desk\nawait desk.echo(1)", ""),
        ("import statistics", "module statistics"),
        ("from urllib.parse import quote", "module urllib.parse"),
        ("import desk", ""),
        ("import asyncio as a\na.create_task(f())", "asyncio.create_task"),
        ("from asyncio import TaskGroup", "asyncio.TaskGroup"),
        ("class A: pass", ""),
        ("class A(object): pass", ""),
        ("class A(B): pass", "class inheritance"),
        ("class A:\n    @property\n    def x(self): return 1", "method decorators"),
        ("def callable(x): return 1\ncallable(3)", ""),
        ("callable(3)", "callable"),
        ("max(d, key=d.get)", "a method as a value"),
        ("(", ""),
        ("(" * 5000, ""),
        ("x = '\\0'", ""),
    ],
)
async def test_gaps_are_seen_by_reading(code: str, found: str) -> None:
    assert gap(code, ["desk"]) == found


@needs_jail
async def test_waiting_in_small_steps_is_not_taken_for_computing(both: Engines) -> None:
    code = "# engine: cpython\nimport asyncio\nfor _ in range(100):\n    await asyncio.sleep(0.02)\n'patient'"
    outcome = await both.run(code, [], Desk(), Limits(cpu_s=0.4))
    assert outcome.value == "patient", outcome


async def test_a_tool_is_no_gap_whatever_its_name() -> None:
    assert gap("import notes\nawait notes.add_note(title='a')\nawait notes.translate('x')", {"notes"}) == ""
    assert gap("import notes\nerror.add_note('a')", {"notes"}) == "add_note"


class _Waits(Desk):
    async def __call__(self, module: str, function: str, arguments: dict[str, Any]) -> Any:
        raise CallPaused({"kind": "ask"})


@needs_jail
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("# engine: cpython\nimport desk\nawait desk.echo(1)", "without the line `# engine: cpython`"),
        ("import desk\ndef g():\n    yield 1\nawait desk.echo(1)", "that does not use yield"),
    ],
)
async def test_a_call_that_must_wait_fails_on_cpython_and_says_what_to_do(
    both: Engines, code: str, advice: str
) -> None:
    outcome = await both.run(code, [DESK], _Waits(), LIMITS)
    assert (outcome.engine, outcome.pause) == ("cpython", None)
    assert outcome.failure is not None
    assert outcome.failure.message.startswith("PermissionError: desk.echo has to wait for a person")
    assert advice in outcome.failure.message


@needs_jail
async def test_a_program_on_monty_is_paused_and_goes_on_in_its_jail(both: Engines) -> None:
    code = "import desk\nx = await desk.echo(1)\n[x, 2]"
    outcome = await both.run(code, [DESK], _Waits(), LIMITS)
    assert outcome.pause is not None

    async def again(_call: PendingCall) -> Json:
        return 7

    assert (await both.resume(outcome.pause, code, [DESK], Desk(), LIMITS, again)).value == [7, 2]
