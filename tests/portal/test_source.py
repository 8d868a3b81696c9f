"""Reading a program before it runs."""

from __future__ import annotations

import pytest

from portal.programs.source import SourceError, read

SERVERS = ["catalog", "gitlab"]


@pytest.mark.parametrize(
    ("code", "tools"),
    [
        ("import catalog\nawait catalog.get_entity('x')", {("catalog", "get_entity")}),
        ("import catalog as c\nf = c.get_entity\nawait f('x')", {("catalog", "get_entity")}),
        ("from gitlab import get_file as g\nawait g()", {("gitlab", "get_file")}),
        ("import json\njson.dumps(1)", set()),
        ("async def f():\n    import gitlab\n    return await gitlab.get_file()", {("gitlab", "get_file")}),
        ("1+1", set()),
        ("async def f():\n    return await gitlab.get_file()\nimport gitlab\nawait f()", {("gitlab", "get_file")}),
    ],
)
def test_tools_that_a_program_names_are_resolved(code: str, tools: set[tuple[str, str]]) -> None:
    source = read(code, SERVERS)
    assert source.tools == tools
    assert not source.unresolved


@pytest.mark.parametrize(
    "code",
    [
        "import catalog\ngetattr(catalog, 'x')",
        "import catalog\nm = catalog\nm.delete()",
        "from catalog import *",
        "import catalog\n[catalog][0].delete()",
        "import catalog\ncatalog.x = 1\nf(catalog)",
    ],
)
def test_a_server_used_as_a_value_is_not_resolved(code: str) -> None:
    assert read(code, SERVERS).unresolved


def test_a_fence_is_taken_off() -> None:
    assert read("```python\nimport catalog\n1\n```\n", SERVERS).code == "import catalog\n1"


@pytest.mark.parametrize("code", ["def (", "x = (" * 300, "-" * 60_000 + "1", "a\0b", "(" * 5000 + ")" * 5000])
def test_what_does_not_parse_is_an_error_and_never_a_crash(code: str) -> None:
    with pytest.raises(SourceError):
        read(f"import catalog\n{code}", SERVERS)


def test_a_program_that_names_no_server_is_left_to_the_sandbox() -> None:
    assert read("x = = 1", SERVERS).tools == frozenset()


def test_the_line_of_a_syntax_error_is_the_submitted_one() -> None:
    with pytest.raises(SourceError) as caught:
        read("import catalog\ny = = 2", SERVERS)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("code", "gap"),
    [
        ("import catalog\n1", ""),
        ("import catalog, statistics\n1", "module statistics"),
        ("import catalog\nclass A(Exception): pass", "class inheritance"),
        ("import statistics", None),
    ],
)
def test_what_monty_lacks_is_read_in_the_same_pass(code: str, gap: str | None) -> None:
    assert read(code, SERVERS).gap == gap


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("import catalog\n1", True),
        ("import catalog\nx = 1", False),
        ("import catalog\nif x:\n    return 1", True),
        ("import catalog\nfor x in y:\n    print(x)", False),
        ("x = 1", True),
    ],
)
def test_whether_a_program_can_have_a_result_is_seen(code: str, ends: bool) -> None:
    assert read(code, SERVERS).ends_in_value is ends
