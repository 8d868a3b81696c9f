"""What an agent reads when it got something wrong: each file of ``golden/`` is a program and its whole reply.

``PORTAL_TEST_ACCEPT=1`` writes the replies anew: read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from portal.programs.brief import tokens
from tests.programs.errors.shop import INJECTION, Shop
from tests.programs.standing import LIMITS, READER, WRITER, Standing, standing

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"))
RULE = "\n--- reply\n"
MAX_TOKENS = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    folder = tmp_path_factory.mktemp("errors")
    limits = replace(LIMITS, source_bytes=65_536)
    async with standing(folder, servers={"shop": Shop().server()}, limits=limits) as found:
        yield found


@pytest.mark.parametrize("file", GOLDEN, ids=[file.stem for file in GOLDEN])
async def test_the_reply_is_the_one_that_was_agreed(stand: Standing, file: Path) -> None:
    code, _, wanted = file.read_text(encoding="utf-8").rstrip("\n").partition(RULE)
    reply = await stand.run(code, WRITER)
    if os.environ.get("PORTAL_TEST_ACCEPT"):
        file.write_text(f"{code}{RULE}{reply}\n", encoding="utf-8")
        wanted = reply
    assert reply == wanted
    assert tokens(reply) <= MAX_TOKENS


HOSTILE = {
    "message": f"raise ValueError({INJECTION * 8!r})",
    "key": f"{{}}[{INJECTION!r}]",
    "parameter": f"import shop\nawait shop.get_item(**{{{INJECTION!r}: 1}})",
    "value": f"import shop\nawait shop.list_items(kind={INJECTION * 20!r})",
    "value of a write": f"import shop\nawait shop.set_kind(ref='x', to={INJECTION * 20!r})",
    "allowed values": "import shop\nawait shop.pick_odd(kind='x', odd={'a': '1'})",
    "result": "import shop\nfound = await shop.get_odd()\nfound['x'] + found['y']",
    "upstream": "import shop\nawait shop.fail(how='hostile')",
    "upstream of a write": "import shop\nawait shop.fail_to_add(how='hostile')",
    "module": f"import {'a' * 5_000}",
    "name": f"{'aB1_' * 1_500}",
    "attribute": f"import shop\nitem = await shop.get_item(ref='x')\nitem.{'xQz' * 1_000}",
    "tool": f"import shop\nawait shop.{'get_item_' * 500}()",
    "source line": f"import shop\nx = [{'1, ' * 3_000}]; 1 / 0; await shop.get_item(ref='x')",
    "function": f"def {'f' * 3_000}(n):\n    return {'f' * 3_000}(n + 1)\n{'f' * 3_000}(0)",
    "many findings": "import shop\n" + "await shop.add_items(items=5, kind=7)\n" * 100,
    "syntax": f"import shop\n{'(' * 50}{'é' * 500}",
    "unicode": f"raise ValueError({chr(0x1F600) * 3_000!r})",
    "printed and raised": f"print({INJECTION!r})\nraise KeyError({INJECTION!r})",
    "many writes": "import shop\nfor n in range(45):\n    await shop.add_items(items=[])\n    await shop.set_kind(ref='a', to='cup')\n"
    "    await shop.get_item(ref='a')\n1 / 0",
}
OURS = (
    "failed: ",
    "Traceback ",
    "  File ",
    "    ",
    "  line ",
    "  | ",
    "  … ",
    "  shop.",
    "hint: ",
    "calls already made:",
    "async def ",
    "class ",
    "limit ",
    "The type check failed; nothing ran.",
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_names_and_values_hold_an_error_is_short_and_every_line_is_ours(
    stand: Standing, name: str
) -> None:
    reply = (await stand.run(HOSTILE[name], WRITER)).partition("\n--- printed")[0]
    assert tokens(reply) <= MAX_TOKENS
    assert all(c.isprintable() or c == "\n" for c in reply)
    lines = reply.split("\n")
    # The one line that may go on as it likes is the error itself.
    said = [line for line in lines if not line.startswith(OURS)]
    assert all(re.match(r"[A-Z]\w+Error: |the program made", line) for line in said)
    assert len(said) <= 2
    assert not any(line.startswith(("hint: call", "hint: \n")) for line in lines)


async def test_of_so_many_writes_that_they_would_fill_the_reply_the_first_are_counted(stand: Standing) -> None:
    reply = await stand.run(HOSTILE["many writes"])
    counted = [
        int(n) for n in re.findall(r"shop\.(?:add_items|set_kind) \N{MULTIPLICATION SIGN} (\d+) → ok \(write", reply)
    ]
    single = len(re.findall(r"shop\.(?:add_items|set_kind) → ok \(write", reply))
    assert sum(counted) + single == 50


async def test_who_may_not_write_reads_the_same_of_a_tool_that_is_there_and_of_one_that_is_not(
    stand: Standing,
) -> None:
    for code in ("import shop\nawait shop.{}()", "await {}()", "import shop\nf = [shop][0]\nawait f.{}()"):
        hidden = await stand.run(code.format("fail_to_add"), READER)
        absent = await stand.run(code.format("fail_to_adx"), READER)
        assert hidden.replace("fail_to_add", "fail_to_adx") == absent
