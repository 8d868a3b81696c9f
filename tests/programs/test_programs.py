"""One program's life, with everything behind it real: what runs, what is checked first, and what the agent reads."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from portal.audit.audit import Audit, AuditUnavailable
from portal.programs.search import Search
from shared_auth.principal import Principal
from tests.programs.standing import READER, WRITER, Standing, standing

LONGER = "#" * 2_500


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        (
            "import desk\nprint('hello')\nawait desk.get_items()",
            "ok · 1 call · N ms\n[]\n--- printed\nhello",
        ),
        ("return 6 * 7", "ok · 0 calls · N ms\n42"),
        (f"{LONGER}\nimport desk\nlen(await desk.get_items())", "ok · 1 call · N ms\n0"),
        ("```python\nimport desk\nlen(await desk.get_items())\n```", "ok · 1 call · N ms\n0"),
        (
            "import desk\nawait desk.add_item('x')\nawait desk.add_item(name='y')\nawait desk.get_items()",
            'ok · 3 calls · N ms\n["x", "y"]',
        ),
        (
            "import desk\nfor n in range(3):\n    await desk.add_item(name=n)",
            (
                "failed: invalid · 0 calls · N ms\n"
                "The type check failed; nothing ran.\n"
                "  line 3: Argument to function `add_item` is incorrect: Expected `str`, found `int`\n"
                "async def add_item(name: str) -> Any  # write"
            ),
        ),
        (
            "import desk\nm = desk\nawait m.add_item(nam='z')",
            (
                "failed: invalid · 0 calls · N ms\n"
                "The type check failed; nothing ran.\n"
                "  line 3: Argument `nam` does not match any known parameter of function `add_item`\n"
                "  line 3: No argument provided for required parameter `name` of function `add_item`\n"
                "async def add_item(name: str) -> Any  # write"
            ),
        ),
        (
            "import desk\nx = await desk.get_items(5)\nx",
            (
                "failed: raised · 0 calls · N ms\n"
                "Traceback (most recent call last):\n"
                '  File "program.py", line 2, in <module>\n'
                "    x = await desk.get_items(5)\n"
                "              ~~~~~~~~~~~~~~~~~\n"
                "TypeError: get_items() takes 0 positional arguments but 1 were given\n"
                "  line 2: Too many positional arguments to function `get_items`: expected 0, got 1\n"
                "async def get_items() -> Any"
            ),
        ),
        (
            "import desk\nfound = await desk.get_items()\nfound[99]",
            (
                "failed: raised · 1 call · N ms\n"
                "Traceback (most recent call last):\n"
                '  File "program.py", line 3, in <module>\n'
                "    found[99]\n"
                "    ~~~~~~~~~\n"
                "IndexError: list index out of range\n"
                "calls already made:\n"
                "  desk.get_items → ok (N ms)"
            ),
        ),
        (
            "import desk\nawait desk.get_long(size='many')",
            (
                "failed: raised · 1 call · N ms\n"
                "Traceback (most recent call last):\n"
                '  File "program.py", line 2, in <module>\n'
                "    await desk.get_long(size='many')\n"
                "    ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
                'ValueError: desk.get_long: size must be integer, got "many"\n'
                "async def get_long(size: int) -> Any\n"
                "calls already made:\n"
                "  desk.get_long → invalid (N ms)"
            ),
        ),
        ("import desk\ndef (", "failed: invalid · nothing ran\nSyntaxError: invalid syntax (line 2)\n    def ("),
        (
            "import away\nawait away.get_anything()",
            (
                "failed: unavailable · nothing ran\n"
                "The server away is down (cannot be reached). Try again later, or leave it out."
            ),
        ),
        ("#" * 10_001, "The program is longer than 10000 bytes. Nothing ran."),
        ("é" * 5_001, "The program is longer than 10000 bytes. Nothing ran."),
    ],
)
async def test_what_the_agent_reads(stand: Standing, code: str, reply: str) -> None:
    assert await stand.run(code) == reply


async def test_after_a_type_check_that_failed_nothing_was_called(stand: Standing) -> None:
    await stand.run("import desk\nawait desk.add_item(name='a')\nawait desk.add_item(name=1)")
    await stand.run("import desk\nf = getattr(desk, 'add_item')\nawait f(1)")
    assert stand.desk.called == []
    assert await stand.recorded() == ["invalid", "invalid"]


async def test_a_use_that_reading_cannot_follow_is_checked_first(stand: Standing) -> None:
    text = await stand.run("import desk\nprint('ran')\n[desk][0].get_items(1, 2)")
    assert "nothing ran" in text
    assert "--- printed" not in text


async def test_reads_run_without_a_check(stand: Standing) -> None:
    # A check would refuse this, and calls the tool with what it takes all the same.
    text = await stand.run("import desk\nx: int = 'text'\nlen(await desk.get_items())")
    assert text == "ok · 1 call · N ms\n0"


@pytest.mark.parametrize("name", ["add_item", "drop_item", "no_item"])
async def test_a_forbidden_tool_and_an_unknown_one_read_the_same(stand: Standing, name: str) -> None:
    hint = "search finds the tools that there are"
    text = await stand.run(f"import desk\nawait desk.{name}(name='z')", READER)
    assert text == (
        f"failed: invalid · 0 calls · N ms\nThe type check failed; nothing ran.\n  line 2: Module `desk` has no member `{name}`\nhint: {hint}"
    )
    text = await stand.run(f"from desk import {name}\nawait {name}(name='z')", READER)
    assert f"`{name}`" in text
    assert stand.desk.called == []


@pytest.mark.parametrize(
    "code",
    [
        "import {server}\nawait {server}.add_item(name='z')",
        "import {server}",
        "from {server} import add_item\nadd_item",
        "import {server}\ndef (",
        "import desk, {server}\ngetattr({server}, 'x')",
        "import desk, {server}\nawait desk.get_items()",
        "{server}.add_item()",
    ],
)
async def test_a_server_of_which_a_person_may_see_nothing_is_not_there(stand: Standing, code: str) -> None:
    hidden = await stand.run(code.format(server="closed"), READER)
    unknown = await stand.run(code.format(server="absent"), READER)
    assert hidden.replace("closed", "absent") == unknown
    assert stand.desk.called == []


async def test_the_same_server_is_there_for_whom_it_is_meant(stand: Standing) -> None:
    assert await stand.run("import closed\nawait closed.add_item(name='z')", WRITER) == "ok · 1 call · N ms\n1"


async def test_search_shows_each_person_what_they_may_call(stand: Standing) -> None:
    writer = await stand.search.search(WRITER, ["add item"], server=None, limit=8)
    reader = await stand.search.search(READER, ["add item"], server=None, limit=8)
    assert "add_item" in writer
    assert "add_item" not in reader
    assert "closed" not in await stand.search.search(READER, [], server=None, limit=8)


async def test_search_names_the_page_of_an_account_that_is_not_connected_where_its_server_is_shown(
    stand: Standing,
) -> None:
    async def unconnected(principal: Principal) -> dict[str, str]:
        assert principal == READER
        return {name: f"https://portal.example/connect/{name}" for name in ("desk", "closed", "elsewhere")}

    search = Search(stand.search._live, stand.search._gate, unconnected)
    found = await search.search(READER, ["get items"], server=None, limit=8)
    said = "desk: your account is not connected; open https://portal.example/connect/desk first"
    assert found.endswith(f"\n\n{said}")
    assert "closed" not in found
    assert "elsewhere" not in found


async def test_a_result_over_the_limit_is_cut_and_says_so(stand: Standing) -> None:
    head, result, tail = (await stand.run("import desk\nawait desk.get_long(size=1000)")).split("\n")
    assert head == "ok · 1 call · N ms"
    assert tail.startswith("(shows 69 of 1,000 items; whole for 60 min: load(")
    cut = json.loads(result)
    assert len(result) <= 1_000
    assert cut[-1].endswith("more of 1000 items")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("{'a': [1, 2], 'b': {'c': None}}", '{"a": [1, 2], "b": {"c": null}}'),
        ("['x'] * 60", json.dumps(["x"] * 60)),
        ("'y' * 20_000", json.dumps("y" * 960 + "… (19040 more characters)", ensure_ascii=False)),
        ("{'a': 1.5, 'b': True}", '{"a": 1.5, "b": true}'),
        ("[{'a': 1}]", '[{"a": 1}]'),
    ],
)
async def test_values_of_every_shape_are_shown(stand: Standing, code: str, value: str) -> None:
    assert (await stand.run(code)).split("\n")[1] == value


async def test_much_that_is_printed_is_cut(stand: Standing) -> None:
    text = await stand.run("print('a' * 9_000)\n1 / 0")
    assert text.endswith("--- printed\n" + "a" * 8_000 + "\n… (1001 more characters)")


async def test_many_reads_of_one_kind_are_one_line(stand: Standing) -> None:
    text = await stand.run(
        "import desk, asyncio\nawait asyncio.gather(*[desk.get_items() for _ in range(30)])\nawait desk.fail()"
    )
    assert "failed: raised · 31 calls" in text
    assert "\n  desk.get_items \N{MULTIPLICATION SIGN} 30 → ok (≤ N ms)\n" in text
    assert text.endswith("desk.fail → upstream (N ms)")


async def test_one_person_runs_so_many_programs_at_once_and_others_theirs(stand: Standing) -> None:
    wait = "import desk\nawait desk.wait()"
    running = [asyncio.create_task(stand.run(wait)) for _ in range(2)]
    await asyncio.wait_for(stand.desk.waiting.wait(), 10)
    assert await stand.run("1") == "2 programs of yours are running already; nothing ran. Wait for one."
    assert await stand.run("1", READER) == "ok · 0 calls · N ms\n1"
    stand.desk.go_on.set()
    assert await asyncio.gather(*running) == ["ok · 1 call · N ms\ntrue"] * 2
    assert await stand.run("1") == "ok · 0 calls · N ms\n1"


async def test_a_cancelled_program_is_recorded_as_cancelled_and_frees_its_place(stand: Standing) -> None:
    running = [asyncio.create_task(stand.run("import desk\nawait desk.wait()")) for _ in range(2)]
    await asyncio.wait_for(stand.desk.waiting.wait(), 10)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert all(task.cancelled() for task in running)
    assert await stand.recorded() == ["cancelled", "cancelled"]
    assert await stand.run("1") == "ok · 0 calls · N ms\n1"


async def test_every_end_is_on_the_record(stand: Standing) -> None:
    for code in ("1", "1/0", "x = = 1", "while True: pass"):
        await stand.run(code)
    assert await stand.recorded() == ["ok", "raised", "invalid", "limit"]


UNRECORDED = "The record cannot be written, so programs do not run. Try again; tell an operator."


async def test_without_a_record_no_program_runs_and_no_result_is_shown(stand: Standing) -> None:
    async with stand.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE audit_programs RENAME TO elsewhere")
    reply = await stand.programs.execute(WRITER, "'the result'")
    assert (reply.text, reply.is_error) == (UNRECORDED, True)


async def test_a_write_that_cannot_be_recorded_is_not_sent(stand: Standing) -> None:
    async with stand.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE audit_calls RENAME TO elsewhere")
    text = await stand.run("import desk\nawait desk.add_item(name='x')")
    assert stand.desk.items == []
    assert text.startswith(("failed: limit", UNRECORDED))


async def test_a_closed_record_refuses_programs(stand: Standing) -> None:
    with pytest.raises(AuditUnavailable):
        await Audit(stand.engine).begin(WRITER, source="1")


async def test_a_sandbox_that_is_gone_is_our_failure_and_not_the_programs(stand: Standing) -> None:
    await stand.sandbox.__aexit__(None, None, None)
    reply = await stand.programs.execute(WRITER, "1")
    assert reply.is_error
    assert reply.text == (
        "The portal could not run the program: the sandbox is not open. Try again; nothing is wrong with it."
    )
    assert await stand.recorded() == ["unavailable"]


async def test_when_no_worker_is_free_the_agent_is_told_to_try_again(tmp_path: Path) -> None:
    async with standing(tmp_path, checkout_s=0.05, per_principal=10) as stand:
        running = [asyncio.create_task(stand.run("import desk\nawait desk.wait()")) for _ in range(4)]
        async with asyncio.timeout(10):
            while stand.desk.called.count("wait") < 4:
                await asyncio.sleep(0.005)
        text = await stand.run("1")
        stand.desk.go_on.set()
        await asyncio.gather(*running)
    assert text.startswith("The portal could not run the program: ")
    assert text.endswith("Try again; nothing is wrong with it.")
