"""What a program may use without importing it, on both engines: ``each``, ``table``, ``load`` and ``save``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from portal.sandbox.contract import CallFailed, CallRevoked, Diagnostic, Limits, Options, Outcome
from portal.sandbox.engines import Engines
from portal.sandbox.helpers import HOST, NAMES, PRELUDES, SAVE, STUBS, prelude
from tests.sandbox.conftest import DESK, LIMITS, Desk
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module")]
MONTY, CPYTHON = "", "# engine: cpython\n"
ENGINES = pytest.mark.parametrize("engine", [MONTY, CPYTHON], ids=["monty", "cpython"])


class Shelf(Desk):
    """A desk that also keeps what is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    async def __call__(self, module: str, function: str, arguments: dict[str, Any]) -> Any:
        if module != HOST:
            return await super().__call__(module, function, arguments)
        if function == SAVE:
            self.kept.append(arguments["value"])
            return f"r_{len(self.kept) - 1}"
        if arguments["handle"] == "revoke":
            raise CallRevoked("record", "stopped")
        number = arguments["handle"].removeprefix("r_")
        if not number.isdigit() or int(number) >= len(self.kept):
            raise CallFailed("load(): no such result", "LookupError")
        return json.dumps(self.kept[int(number)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Engines]:
    async with Engines(Options(jail="require", engine="monty+cpython", min_workers=2, warm_children=3)) as opened:
        yield opened


async def run(both: Engines, engine: str, code: str, limits: Limits = LIMITS, shelf: Shelf | None = None) -> Outcome:
    outcome = await both.run(engine + code, [DESK], shelf or Shelf(), limits)
    assert outcome.engine == ("cpython" if engine else "monty"), outcome
    return outcome


async def value(both: Engines, engine: str, code: str) -> Any:
    outcome = await run(both, engine, code)
    assert outcome.failure is None, outcome
    return outcome.value


@needs_jail
@ENGINES
@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("await each([1, 2, 3], desk.echo)", [1, 2, 3]),
        ("await each(range(40), desk.echo, at_once=3)", list(range(40))),
        ("await each((n for n in [5, 6]), lambda n: desk.echo(n * 2))", [10, 12]),
        ("await each([], desk.echo)", []),
        ("await each({'a': 1}, lambda key: key + '!')", ["a!"]),
        ("async def f(n):\n    return [n, await desk.echo(None)]\nawait each([1], f, 100)", [[1, None]]),
    ],
)
async def test_each_runs_a_function_over_items_and_keeps_their_order(
    both: Engines, engine: str, code: str, found: Any
) -> None:
    assert await value(both, engine, f"import desk\n{code}") == found


@needs_jail
@ENGINES
async def test_each_keeps_so_many_going_at_once(both: Engines, engine: str) -> None:
    shelf = Shelf()
    running = asyncio.create_task(
        run(both, engine, "import desk\nlen(await each(range(12), desk.block, 5))", shelf=shelf)
    )
    async with asyncio.timeout(20):
        while shelf.running < 5:
            await asyncio.sleep(0.001)
    shelf.gate.set()
    assert (await running).value == 12
    assert shelf.most_running == 5


@needs_jail
@ENGINES
async def test_when_one_fails_nothing_new_begins_what_runs_is_settled_and_the_first_is_raised(
    both: Engines, engine: str
) -> None:
    shelf = Shelf()
    code = """import desk

async def one(n):
    if n in (3, 4):
        await desk.fail(f"no {n}")
    return await desk.echo(n)

await each(range(100), one, at_once=2)"""
    outcome = await run(both, engine, code, shelf=shelf)
    assert outcome.failure is not None
    assert outcome.failure.message == "ValueError: no 3"
    line = len((engine + code).splitlines())
    assert f'File "program.py", line {line}, in <module>\n    await each(range(100), one, at_once=2)' in (
        outcome.failure.traceback
    )
    assert len(shelf.seen) <= 6
    assert shelf.cancelled == 0


@needs_jail
@ENGINES
async def test_each_goes_on_when_the_function_handles_its_own_failures(both: Engines, engine: str) -> None:
    code = """import desk

async def one(n):
    try:
        return await (desk.fail("odd") if n % 2 else desk.echo(n))
    except ValueError as error:
        return str(error)

await each(range(4), one)"""
    assert await value(both, engine, code) == [0, "odd", 2, "odd"]


@needs_jail
@ENGINES
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "table([{'a': 1, 'b': 'x'}, {'b': None, 'c': 2.5}])",
            "| a | b | c |\n|---|---|---|\n| 1 | x |  |\n|  |  | 2.5 |",
        ),
        ("table([{'a': 1, 'b': 2}], columns=['b'])", "| b |\n|---|\n| 2 |"),
        ("table([[1, 2], (3, 4)], ['x', 'y'])", "| x | y |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"),
        (r"table([{'a|b': 'c|d\n\\e\\|f\r\ng'}])", "| a\\|b |\n|---|\n| c\\|d<br>\\\\e\\\\\\|f<br>g |"),
        ("table([{'a': 'x' * 300}])", f"| a |\n|---|\n| {'x' * 199}… |"),
        ("table([{'a': '|' * 300}])", "| a |\n|---|\n| " + "\\|" * 199 + "… |"),
        ("table(row for row in [{'a': [1]}])", "| a |\n|---|\n| [1] |"),
        ("table([], ['a'])", "| a |\n|---|"),
    ],
)
async def test_a_table_is_markdown_whatever_is_in_it(both: Engines, engine: str, code: str, text: str) -> None:
    assert await value(both, engine, code) == text


@needs_jail
@ENGINES
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1\ntable([[1]])", "ValueError: table(): give columns=[...] for rows that are not dictionaries"),
        ("x = 1\nawait each([1], lambda n: n, at_once=0)", "ValueError: each(): at_once must be at least 1"),
        ("x = 1\nload('r_9')", "LookupError: load(): no such result"),
    ],
)
async def test_a_wrong_use_fails_at_the_programs_own_line(both: Engines, engine: str, code: str, says: str) -> None:
    failure = (await run(both, engine, code)).failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("raised", says)
    assert failure.line == 2 + bool(engine)
    assert "prelude" not in failure.traceback
    assert failure.traceback.count("File ") == 1


@needs_jail
@ENGINES
@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def load(x):\n    return x + 1\nload(1)", 2),
        ("table = {'a': 1}\ntable['a']", 1),
        ("async def each(a, b):\n    return [a, b]\nawait each(1, 2)", [1, 2]),
        ("save = len\nsave('abc')", 3),
        ("def f():\n    table = 5\n    return table\n[f(), table([], ['a'])]", [5, "| a |\n|---|"]),
        ("from desk import echo as load\nawait load(4)", 4),
        ("class A:\n    def save(self, x):\n        return x\nA().save(3)", 3),
    ],
)
async def test_a_name_that_the_program_binds_is_the_programs(both: Engines, engine: str, code: str, found: Any) -> None:
    assert await value(both, engine, code) == found


@needs_jail
@ENGINES
@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("load(save({'a': [1]}))", {"a": [1]}),
        ("load(handle=save(value=2))", 2),
        ("await load(await save([1]))", [1]),
        ("h = save('x')\nf = load\nf(h)", "x"),
        ("def get(h):\n    return load(h)\nget(save(3))", 3),
        (
            "import asyncio\nasync def get(h):\n    return await load(h)\nh = await save(4)\nawait asyncio.gather(get(h), get(h))",
            [4, 4],
        ),
        (
            "import asyncio, desk\nasync def get(h):\n    return [load(h), await desk.echo(1)]\nh = save(4)\nawait asyncio.gather(get(h), get(h))",
            [[4, 1], [4, 1]],
        ),
    ],
)
async def test_load_and_save_are_plain_functions_that_may_be_awaited(
    both: Engines, engine: str, code: str, found: Any
) -> None:
    assert await value(both, engine, code) == found


@needs_jail
@ENGINES
async def test_what_is_saved_is_json_as_a_result_would_be(both: Engines, engine: str) -> None:
    shelf = Shelf()
    code = "import datetime\nsave({1: datetime.date(2026, 1, 2), 'nan': float('nan'), 't': (1, {2})})"
    await run(both, engine, code, shelf=shelf)
    assert shelf.kept == [{"1": "2026-01-02", "nan": "NaN", "t": [1, [2]]}]


@needs_jail
@ENGINES
async def test_a_megabyte_comes_back_whole(both: Engines, engine: str) -> None:
    assert await value(both, engine, "h = save(['x' * 100] * 10_000)\nlen(''.join(load(h)))") == 1_000_000


@needs_jail
@ENGINES
async def test_revoking_during_a_load_ends_the_program(both: Engines, engine: str) -> None:
    failure = (await run(both, engine, "try:\n    load('revoke')\nexcept BaseException:\n    pass\n1")).failure
    assert failure is not None
    assert (failure.kind, failure.limit) == ("limit", "record")


@needs_jail
async def test_a_gap_after_a_load_still_runs_on_cpython_and_after_a_save_no_more(both: Engines) -> None:
    shelf = Shelf()
    shelf.kept = [[2, 1]]
    gap = "sum([1], start=load('r_0')[0])\n'abc'.nothing if False else getattr('x', 'tran' + 'slate')({120: 'y'})"
    outcome = await both.run(f"load('r_0')\n{gap}", [DESK], shelf, LIMITS)
    assert (outcome.value, outcome.engine) == ("y", "cpython")
    failure = (await both.run(f"save(1)\n{gap}", [DESK], shelf, LIMITS)).failure
    assert failure is not None
    assert "# engine: cpython" in failure.hint


@needs_jail
@ENGINES
async def test_five_hundred_calls_at_once_all_arrive_and_are_bounded(both: Engines, engine: str) -> None:
    shelf = Shelf()
    code = "import asyncio, desk\nsum(await asyncio.gather(*[desk.echo(n) for n in range(500)]))"
    assert (await run(both, engine, code, shelf=shelf)).value == sum(range(500))
    assert len(shelf.seen) == 500
    assert shelf.most_running <= LIMITS.in_flight


@needs_jail
@pytest.mark.parametrize(
    ("code", "findings"),
    [
        ("rows = load('r_1')\ntable(rows)\nh = save(rows)\nawait load(h)\nawait each(rows, desk.echo, 4)", []),
        ("load(5)", [(2, "Argument to function `load` is incorrect: Expected `str`, found `Literal[5]`")]),
        ("def load(n: int) -> int:\n    return n\nload(5)", []),
        ("table = 5\ntable + 1", []),
        ("await each(['a'])", [(2, "No argument provided for required parameter `fn` of function `each`")]),
        ("lod('r_1')", [(2, "Name `lod` used when not defined")]),
    ],
)
async def test_the_type_check_knows_the_helpers(both: Engines, code: str, findings: list[tuple[int, str]]) -> None:
    found: list[Diagnostic] = await both.check(f"import desk\n{code}", [DESK])
    assert [(one.line, one.message) for one in found] == findings


async def test_every_helper_has_a_stub() -> None:
    assert set(STUBS) == set(NAMES)


@pytest.mark.parametrize(
    ("code", "load", "save"),
    [
        ("await load('x')", "async def load", "def save"),
        ("x = await  save (1)\nload(x)", "def load", "async def save"),
        ("await load(await save(1))", "async def load", "async def save"),
        ("await load(1)\nload(2)", "def load", "def save"),
        ("await reload(1)\ntable(x)", "def load", "def save"),
        ("each(x, load)", "def load", "def save"),
    ],
)
async def test_whether_a_program_awaits_is_seen_by_reading(code: str, load: str, save: str) -> None:
    lines = prelude(code).splitlines()
    assert [line.partition("(")[0] for line in lines if "def load" in line or "def save" in line] == [load, save]


@pytest.mark.parametrize("code", ["teach(tables)", "1 + 1", "download = reload = saved = 1"])
async def test_only_programs_that_name_a_helper_pay_for_them(code: str) -> None:
    assert prelude(code) == ""


async def test_every_prelude_is_known_beforehand() -> None:
    codes = ["table(x)", "await load(x)", "await save(x)", "await load(await save(x))"]
    assert {prelude(code) for code in codes} == set(PRELUDES)
    assert len(PRELUDES) == 4
