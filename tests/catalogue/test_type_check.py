"""The stubs in front of the type checker that judges programs: what is right passes, what is wrong is found."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from portal.catalogue.stubs import Stubs
from portal.sandbox.contract import Module, Options
from portal.sandbox.monty import MontySandbox
from tests.catalogue.making import gathered, listed, properties

NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["value", "next"],
}
ODD = {"type": "object", "properties": {"a-b": {"type": "integer"}, "in": {"$ref": "#/$defs/Odd"}}, "required": ["a-b"]}
OPEN = {
    "type": "object",
    "properties": {"id": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": {"type": "integer"},
}

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOLS = [
    listed("take", inputs={"$defs": {"Node": NODE}, **properties(node={"$ref": "#/$defs/Node"})}),
    listed("give", inputs={"type": "object"}, output={"$defs": {"Node": NODE}, "$ref": "#/$defs/Node"}),
    listed("odd", output={"$defs": {"Odd": ODD}, "$ref": "#/$defs/Odd"}),
    listed("put", inputs=properties(thing=OPEN)),
    listed("list", inputs=properties(names={"type": "array", "items": {"type": "string"}})),
    listed(
        "find-all",
        inputs={
            "type": "object",
            "properties": {
                "state": {"enum": ["open", "closed"]},
                "start-date": {"type": "string"},
                "limit": {"type": "integer", "default": 5},
            },
            "required": ["state"],
        },
        output={
            "type": "object",
            "properties": {"result": {"type": "array", "items": {"type": "string"}}},
            "required": ["result"],
        },
    ),
    listed("anything", inputs={"type": "object", "properties": {"x": {}}}),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[MontySandbox]:
    async with MontySandbox(Options(jail="off", min_workers=1, max_workers=1)) as opened:
        yield opened


async def findings(sandbox: MontySandbox, module: Module, program: str) -> str:
    return "\n".join(found.message for found in await sandbox.check(f"import srv\n{program}", [module]))


@pytest.mark.parametrize(
    "program",
    [
        "await srv.take({'value': 1, 'next': {'value': 2, 'next': None}})",
        "node = await srv.give()\nif node['next']:\n    print(node['next']['value'] + 1)",
        "print((await srv.odd())['a-b'] + 1)",
        "inner = (await srv.odd())['in']\nprint(inner['a-b'])",
        "await srv.put({'id': 'x', 'count': 3})",
        "await srv.list_(['a', 'b'])",
        "await srv.find_all('open')",
        "for name in await srv.find_all(state='closed', start_date='2026-01-01', limit=3):\n    print(name.upper())",
        "await srv.anything()\nawait srv.anything(x={'deep': [1, None]})",
        "value = await srv.anything()\nprint(value['whatever'][0].more)",
    ],
)
async def test_a_right_program_passes(sandbox: MontySandbox, program: str) -> None:
    assert await findings(sandbox, Stubs(gathered("srv", *TOOLS)).module("srv"), program) == ""


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("await srv.take({'value': 1})", "next"),
        ("await srv.take({'value': 'x', 'next': None})", "value"),
        ("node = await srv.give()\nprint(node['valeu'])", "value"),
        ("node = await srv.give()\nprint(node['next']['value'])", "None"),
        ("await srv.put({'id': 'x', 'count': 'many'})", "count"),
        ("await srv.find_all('opne')", "Literal"),
        ("await srv.find_all()", "state"),
        ("await srv.find_all('open', since='x')", "since"),
        ("await srv.find_all('open', limit=None)", "int"),
        ("names = srv.find_all('open')\nfor name in names:\n    print(name)", "not iterable"),
        ("await srv.missing()", "missing"),
    ],
)
async def test_a_wrong_program_is_found_before_it_runs(sandbox: MontySandbox, program: str, says: str) -> None:
    assert says in await findings(sandbox, Stubs(gathered("srv", *TOOLS)).module("srv"), program)
