"""What a program keeps and reads back, on both engines: whose it is, what bounds it, what is on the record of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from portal.programs.handles import Bounds
from tests.programs.standing import LIMITS, READER, WRITER, Standing, handle_in, standing, timeless
from tests.sandbox.test_jail import needs_jail

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_jail]
ENGINES = ["", "# engine: cpython\n"]
NEVER = "r_" + "0" * 26


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    async with standing(tmp_path_factory.mktemp("kept"), engines=True) as found:
        yield found


async def value(stand: Standing, code: str, principal: Any = WRITER) -> Any:
    """Return the value that a program returned."""
    head, shown, *_ = (await stand.run(code, principal)).split("\n")
    assert head.startswith("ok · "), (head, shown)
    return json.loads(shown)


async def steps(stand: Standing) -> list[tuple[str, str, str]]:
    """Return what the last program kept and read, as the record has it."""
    async with stand.engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT tool, decision, outcome FROM audit_calls WHERE server = '(portal)' AND program_id = "
                "(SELECT max(id) FROM audit_programs) ORDER BY position"
            )
        )
        return [(tool, decision, outcome) for tool, decision, outcome in rows]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_result_over_the_limit_is_kept_whole_for_the_next_program(both: Standing, engine: str) -> None:
    reply = (await both.programs.execute(WRITER, f"{engine}import desk\nawait desk.get_long(size=1000)")).text
    handle = handle_in(reply)
    head, result, note, *_ = timeless(reply).split("\n")
    assert head == "ok · 1 call · N ms"
    assert json.loads(result)[:2] == ["x" * 10] * 2
    assert note == (
        f'(shows 69 of 1,000 items; whole for 60 min: load("{handle}") in a program, or portal://results/{handle})'
    )
    assert len(reply) <= 1_000 + 250
    assert await steps(both) == [("save", "allow", "ok")]
    assert await value(both, f"{engine}rows = load({handle!r})\n[len(rows), rows[-1]]") == [1_000, "x" * 10]
    assert await steps(both) == [("load", "allow", "ok")]


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_saved_comes_back_and_counts_as_no_call(both: Standing, engine: str) -> None:
    code = (
        f"{engine}import datetime\nh = save({{'a': [1, 2.5, None, 'é|'], 'at': datetime.date(2026, 1, 2), 's': {{3}}}})\n"
        "return [h, load(h)]"
    )
    text_of = await both.run(code)
    assert text_of.startswith("ok · 0 calls")
    handle, found = json.loads(text_of.split("\n")[1])
    assert found == {"a": [1, 2.5, None, "é|"], "at": "2026-01-02", "s": [3]}
    assert await steps(both) == [("save", "allow", "ok"), ("load", "allow", "ok")]
    assert await value(both, f"{engine}load({handle!r})['a'][0]", replace(WRITER, client_id="agent-2")) == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_await_too_many_is_forgiven(both: Standing, engine: str) -> None:
    code = (
        f"{engine}import asyncio\nh = await save([7])\n\n\nasync def one(name):\n    return await load(name)\n\n\n"
        "await asyncio.gather(one(h), one(h))"
    )
    assert await value(both, code) == [[7], [7]]


@pytest.mark.parametrize("engine", ENGINES)
async def test_each_loads_one_handle_after_the_other(both: Standing, engine: str) -> None:
    assert await value(both, f"{engine}hs = [save(n) for n in range(5)]\nawait each(hs, load)") == [0, 1, 2, 3, 4]


@pytest.mark.requirement("RS-70")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("asked", ["{handle}", NEVER, "see {handle}", "", "r_é", "portal://results/{handle}"])
async def test_somebody_elses_handle_reads_as_one_that_never_was(both: Standing, engine: str, asked: str) -> None:
    handle = await value(both, "save('mine')")
    name = asked.format(handle=handle)
    said = await both.run(
        f"{engine}try:\n    load({name!r})\nexcept LookupError as error:\n    r = str(error)\nr", READER
    )
    assert json.loads(said.split("\n")[1]) == (
        "load(): you have no such result. Results are kept for 60 min; the oldest make room"
    )
    assert await steps(both) == [("load", "allow", "not_found")]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("load()", "TypeError: load() missing 1 required positional argument: 'handle'"),
        ("load(5)", "ValueError: load() takes a handle"),
        ("load(name='r')", "TypeError: load() "),
        ("save()", "TypeError: save() missing 1 required positional argument: 'value'"),
        ("save(1, 2)", "TypeError: save() takes 1 positional argument"),
    ],
)
async def test_a_wrong_use_is_an_error_that_says_what_would_be_right(
    both: Standing, engine: str, call: str, says: str
) -> None:
    assert says in await both.run(f"{engine}x = 1\n{call}")


@pytest.mark.parametrize(
    ("call", "says"), [("__load__()", "load() takes a handle"), ("__save__()", "save() takes the value to keep")]
)
async def test_what_stands_behind_a_helper_can_be_misused_no_more(both: Standing, call: str, says: str) -> None:
    assert f"ValueError: {says}" in await both.run(f"x = 1\n{call}")


@pytest.mark.parametrize("engine", ENGINES)
async def test_loading_in_a_loop_ends_at_the_limit_of_calls(both: Standing, engine: str) -> None:
    handle = await value(both, "save(1)")
    reply = await both.run(f"{engine}for _ in range(10_000):\n    load({handle!r})")
    assert reply.startswith("failed: limit · 0 calls")
    assert "limit calls: more than 500 calls in one program" in reply


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "bomb",
    [
        "x = [1] * 1_000\nfor _ in range(3):\n    x = [x] * 1_000",
        "x = ['y' * 100_000] * 60",
        "x = [[1] * 1_000] * 300",
    ],
)
async def test_a_value_that_unfolds_beyond_its_bounds_is_not_saved(both: Standing, engine: str, bomb: str) -> None:
    said = await value(both, f"{engine}{bomb}\ntry:\n    save(x)\nexcept ValueError as error:\n    r = str(error)\nr")
    assert said.startswith("save(): the arguments of one call may hold at most ")
    assert await steps(both) == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_one_program_saves_and_loads_only_so_much_and_its_result_is_kept_all_the_same(
    both: Standing, engine: str
) -> None:
    code = (
        f"{engine}kept = []\ntry:\n    for n in range(9):\n        kept.append(save(str(n) * 1_000_000))\n"
        "except ValueError as error:\n    print(error)\n"
        "try:\n    for n in range(9):\n        load(kept[0])\nexcept ValueError as error:\n    print(error)\n"
        "['a' * 2_000] * 3"
    )
    reply = await both.run(code)
    assert "save(): this program has saved as much as it may" in reply
    assert "load(): this program has loaded as much as it may" in reply
    assert "whole for 60 min" in reply
    assert [step for step in await steps(both) if step[2] == "ok"] == (
        [("save", "allow", "ok")] * 4 + [("load", "allow", "ok")] * 4 + [("save", "allow", "ok")]
    )
    kept = await both.results.mine(WRITER, 100)
    assert sum(one.size_bytes for one in kept) <= 4_194_304


async def test_a_program_that_writes_is_checked_with_what_it_may_use(both: Standing) -> None:
    code = "import desk\nh = save([1])\nawait desk.add_item(name=table(load(h), columns=['a']))\nawait each(['b'], desk.add_item)\n"
    assert "invalid" not in await both.run(code)
    said = await both.run("import desk\nawait desk.add_item(name='x')\nload(5)")
    assert said == (
        "failed: invalid · 0 calls · N ms\nThe type check failed; nothing ran.\n"
        "  line 3: Argument to function `load` is incorrect: Expected `str`, found `Literal[5]`"
    )


async def test_a_result_larger_than_a_handle_holds_is_cut_and_says_so(tmp_path: Any) -> None:
    bounds = Bounds(life_s=90, handle_bytes=10_000, person_bytes=10_000)
    async with standing(tmp_path, bounds=bounds) as stand:
        reply = await stand.run("['x' * 100] * 200")
        assert reply.endswith(
            "items; the whole is more than the 10,000 bytes that are kept: filter or aggregate in the program, and return less)"
        )
        assert "save(): a handle holds at most 10,000 bytes of JSON" in await stand.run("save('x' * 10_000)")
        assert "whole for 1 min" in await stand.run("['x' * 100] * 50")


async def test_without_the_place_to_keep_things_programs_run_and_say_so(tmp_path: Any) -> None:
    async with standing(tmp_path) as stand:
        handle = await value(stand, "save(1)")
        async with stand.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE results RENAME TO elsewhere"))
        assert (await stand.run("['x' * 100] * 50")).endswith(
            "the whole could not be kept: filter or aggregate in the program, and return less)"
        )
        assert "OSError: load(): kept results cannot be reached now" in await stand.run(f"load({handle!r})")
        assert "OSError: save(): kept results cannot be reached now" in await stand.run("save(1)")


async def test_nothing_is_kept_off_the_record(tmp_path: Any) -> None:
    async with standing(tmp_path, limits=replace(LIMITS, calls=50)) as stand:
        async with stand.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE audit_calls RENAME TO elsewhere"))
        reply = await stand.programs.execute(WRITER, "for _ in range(40):\n    save(1)\n'done'")
        assert reply.is_error
        assert "done" not in reply.text
