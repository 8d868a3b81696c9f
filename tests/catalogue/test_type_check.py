"""The stubs in front of the type checker that judges programs: what is right passes, what is wrong is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic_monty
import pytest

from portal.catalogue.stubs import Stubs
from portal.sandbox.contract import Module
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


async def _never(*_arguments: Any, **_named: Any) -> None:
    raise AssertionError("a type check runs nothing")


@pytest.fixture(scope="module")
def pool() -> Iterator[pydantic_monty.Monty]:
    with pydantic_monty.Monty() as pool:
        yield pool


def findings(pool: pydantic_monty.Monty, module: Module, program: str) -> str:
    attributes = {function.name: _never for function in module.functions}
    modules = {module.name: pydantic_monty.ExternalModule(attributes, stubs=module.stubs)}
    checked = "import srv\nasync def program():\n" + "".join(f"    {line}\n" for line in program.splitlines())
    with pool.checkout(type_check=True, type_check_format="concise", external_modules=modules) as session:
        try:
            session.feed_run(checked)
        except pydantic_monty.MontyTypingError as error:
            return error.display()
    return ""


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
def test_a_right_program_passes(pool: pydantic_monty.Monty, program: str) -> None:
    assert findings(pool, Stubs(gathered("srv", *TOOLS)).module("srv"), program) == ""


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
def test_a_wrong_program_is_found_before_it_runs(pool: pydantic_monty.Monty, program: str, says: str) -> None:
    assert says in findings(pool, Stubs(gathered("srv", *TOOLS)).module("srv"), program)
