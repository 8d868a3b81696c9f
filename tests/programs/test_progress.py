"""What a client that asks hears of a running program, and that nobody's program waits for a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from mcp.server import ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult

from portal.programs import progress as module
from portal.programs.progress import MAX_PRINTED_CHARS, Report
from tests.programs.standing import WRITER, Desk, Standing, standing, timeless
from tests.programs.test_pauses import ADA, asking, decide, id_in
from tests.sandbox.test_jail import needs_jail

TIMES = "\N{MULTIPLICATION SIGN}"
ENGINES = [pytest.param("", id="monty"), pytest.param("# engine: cpython\n", id="cpython", marks=needs_jail)]


class Heard:
    """A client: notes what it hears; ``until`` waits for it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self._more = asyncio.Event()

    async def __call__(self, number: int, text: str) -> None:
        self.told.append((number, text))
        self._more.set()

    async def until(self, part: str) -> None:
        async with asyncio.timeout(20):
            while not any(part in text for _, text in self.told):
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path, engines=True) as found:
        yield found


async def test_calls_in_flight_are_named_and_numbers_only_increase(stand: Standing) -> None:
    heard = Heard()
    code = "import desk, asyncio\nawait asyncio.gather(desk.wait(), desk.wait(), desk.get_items())\n7"
    running = asyncio.create_task(stand.programs.execute(WRITER, code, heard))
    await heard.until(f"1/3 calls · desk.wait {TIMES} 2")
    stand.desk.go_on.set()
    assert timeless((await running).text) == "ok · 3 calls · N ms\n7"
    numbers = [number for number, _ in heard.told]
    assert numbers == sorted(set(numbers))


@needs_jail
@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_printed_is_heard_while_the_program_runs(both: Standing, engine: str) -> None:
    heard = Heard()
    code = f"{engine}import desk\nprint('one\\ntwo\\n\\x1b[2J3/3 calls')\nawait desk.wait()\nprint('last')"
    running = asyncio.create_task(both.programs.execute(WRITER, code, heard))
    await heard.until("  | one\n  | two\n  | \N{REPLACEMENT CHARACTER}[2J3/3 calls")
    assert not running.done()
    both.desk.go_on.set()
    assert timeless((await running).text).startswith("ok · 1 call · N ms\nnull\n")


@needs_jail
async def test_what_was_printed_before_a_program_changed_its_engine_is_heard_once(both: Standing) -> None:
    heard = Heard()
    code = "import desk\nprint('once')\nf = (1).bit_count\nf()\nawait desk.wait()"
    running = asyncio.create_task(both.programs.execute(WRITER, code, heard))
    await heard.until("desk.wait")
    both.desk.go_on.set()
    assert "(ran on cpython)" in (await running).text
    assert "".join(text for _, text in heard.told).count("once") == 1


async def test_a_client_that_never_takes_what_it_is_told_slows_nothing(stand: Standing) -> None:
    stuck = asyncio.Event()

    async def never(_number: int, _text: str) -> None:
        await stuck.wait()

    code = "import desk\nfor n in range(40):\n    print('x' * 1_000)\n    await desk.get_items()\n'through'"
    reply = await stand.programs.execute(WRITER, code, never)
    assert reply.text.startswith("ok · 40 calls")


async def test_a_client_that_cannot_be_told_of_progress_changes_nothing(stand: Standing) -> None:
    async def gone(_number: int, _text: str) -> None:
        raise ConnectionError("gone")

    reply = await stand.programs.execute(WRITER, "import desk\nprint(1)\nlen(await desk.get_items())", gone)
    assert timeless(reply.text) == "ok · 1 call · N ms\n0\n--- printed\n1"


async def test_a_program_of_which_there_is_no_news_is_heard_of_all_the_same(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    heard = Heard()
    running = asyncio.create_task(stand.programs.execute(WRITER, "import desk\nawait desk.wait()", heard))
    async with asyncio.timeout(20):
        while len(heard.told) < 4:
            await asyncio.sleep(0.01)
    assert {text for _, text in heard.told[-3:]} == {"0/1 calls · desk.wait"}
    stand.desk.go_on.set()
    await running


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ([], "running"),
        (["a\n", "b\n"], "running\n  | a\n  | b"),
        (["x" * 5_000, "end"], "running\n  | …" + "x" * (MAX_PRINTED_CHARS - 3) + "end"),
    ],
)
def test_of_what_is_printed_the_last_is_kept_and_said_once(printed: Iterable[str], said: str) -> None:
    report = Report()
    for text in printed:
        report.printed(text)
    assert report.text() == said
    assert report.text() == "running"


def test_many_tools_in_flight_are_not_all_named() -> None:
    report = Report()
    calls = [report.call(f"desk.tool_{n}") for n in range(9)]
    for call in calls:
        call.__enter__()
    assert report.text() == "0/9 calls · desk.tool_0, desk.tool_1, desk.tool_2, desk.tool_3, …"
    for call in calls:
        call.__exit__(None, None, None)
    assert report.text() == "9/9 calls"


class SlowDesk(Desk):
    """Takes its time to drop an item, too."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = asyncio.Event()

    async def call(self, ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        if params.name == "drop_item":
            await self.dropped.wait()
        return await super().call(ctx, params)


@needs_jail
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at_first", [False, True])
@pytest.mark.parametrize("afterwards", [False, True])
async def test_each_request_of_a_program_that_waited_hears_of_it_if_it_asked(
    tmp_path: Path, engine: str, *, at_first: bool, afterwards: bool
) -> None:
    code = f"""{engine}import desk
await desk.get_items()
try:
    await desk.drop_item(name='a')
except RuntimeError:
    print('tried')
await desk.wait()
7"""
    first, second, desk = Heard(), Heard(), SlowDesk()
    async with asking(tmp_path, engines=True, desk=desk) as stand:
        paused = await stand.programs.execute(ADA, code, first if at_first else None)
        told = list(first.told)
        assert bool(told) == at_first
        await decide(stand, id_in(paused))
        going = asyncio.create_task(stand.programs.resume(ADA, id_in(paused), second if afterwards else None))
        if afterwards:
            await second.until("0/1 calls · desk.drop_item")
        desk.dropped.set()
        await desk.waiting.wait()
        if afterwards:
            await second.until("1/2 calls · desk.wait")
            await second.until("  | tried")
        desk.go_on.set()
        assert (await going).text.startswith("ok · ")
    assert first.told == told
    assert [number for number, _ in second.told] == list(range(1, len(second.told) + 1))
    assert bool(second.told) == afterwards


@needs_jail
async def test_who_comes_later_hears_nothing_of_what_came_before(tmp_path: Path) -> None:
    code = """# engine: cpython
import desk
print('before')
try:
    await desk.drop_item(name='a')
except RuntimeError:
    await desk.wait()"""
    heard = Heard()
    async with asking(tmp_path, engines=True) as stand:
        paused = await stand.programs.execute(ADA, code)
        await decide(stand, id_in(paused))
        going = asyncio.create_task(stand.programs.resume(ADA, id_in(paused), heard))
        await heard.until("1/2 calls · desk.wait")
        stand.desk.go_on.set()
        assert "--- printed\nbefore" in (await going).text
    assert not any("before" in text for _, text in heard.told)
