"""The type check: findings at the program's own lines, nothing run, nothing remembered between programs."""

from __future__ import annotations

import builtins

import pytest

from portal.sandbox import checker
from portal.sandbox.contract import Diagnostic, Function, Module
from portal.sandbox.events import Event
from portal.sandbox.monty import MontySandbox
from portal.sandbox.worker import Worker
from tests.sandbox.conftest import DESK, LIMITS

TYPED = Module("typed", (Function("get", ("id",)),), "async def get(id: int) -> str: ...\n")


async def test_every_name_that_the_interpreter_has_the_checker_knows(sandbox: MontySandbox) -> None:
    async def unused(*_: object) -> None: ...

    refused = {"open", "getattr", "hasattr", "setattr"}
    names = [name for name in dir(builtins) if name.isidentifier() and not name.startswith("_") and name not in refused]
    has = [name for name in names if (await sandbox.run(f"{name}\n1", [], unused, LIMITS)).failure is None]
    assert {"PermissionError", "map"} <= set(has)
    assert [name for name in has if await sandbox.check(f"{name}\n1", [])] == []


async def lines(sandbox: MontySandbox, code: str, *modules: Module) -> list[tuple[int, str]]:
    return [(found.line, found.rule) for found in await sandbox.check(code, modules or [TYPED, DESK])]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import typed\nawait typed.get(1)", []),
        ("import typed\nreturn await typed.get(1)", []),
        ("import typed\n\nawait typed.get('a')", [(3, "invalid-argument-type")]),
        ("import typed\nawait typed.get(idd=1)", [(2, "unknown-argument"), (2, "missing-argument")]),
        ("import typed\nx: int = await typed.get(1)", [(2, "invalid-assignment")]),
        ("import typed\ntyped.nothing", [(2, "unresolved-attribute")]),
        ("x = 1\n\n\nnothing", [(4, "unresolved-reference")]),
        ("import unknown", [(1, "unresolved-import")]),
        ("x = 1\nfrom unknown import y", [(2, "unresolved-import")]),
        ("if True:\n    import typed; await typed.get('é' + 'a')", [(2, "invalid-argument-type")]),
        ("'é'; import typed; await typed.get('a')", [(1, "invalid-argument-type")]),
        ("from typed import (\n    get,\n)\nawait get('a')", [(4, "invalid-argument-type")]),
        (
            "async def f():\n    import typed\n    return await typed.get('a')\nawait f()",
            [(3, "invalid-argument-type")],
        ),
        ("text = '''\n  one\n'''\nimport typed\nawait typed.get(text)", [(5, "invalid-argument-type")]),
        ("# only a comment", []),
        ("", []),
    ],
)
async def test_findings_stand_at_the_lines_of_the_program(
    sandbox: MontySandbox, code: str, found: list[tuple[int, str]]
) -> None:
    assert await lines(sandbox, code) == found


@pytest.mark.parametrize("code", ["x = (", "def f(:\n  pass", "x = 1\0"])
async def test_what_does_not_parse_is_a_finding(sandbox: MontySandbox, code: str) -> None:
    (found,) = await sandbox.check(code, [TYPED])
    assert found.line == 1
    assert found.message.startswith("SyntaxError")


async def test_what_the_worker_cannot_parse_is_left_for_the_run_to_explain(sandbox: MontySandbox) -> None:
    assert await lines(sandbox, "def f():\n    yield 1\nf()") == []


async def test_programs_do_not_see_one_another(sandbox: MontySandbox) -> None:
    assert await lines(sandbox, "import typed\nname = await typed.get(1)") == []
    assert await lines(sandbox, "name") == [(1, "unresolved-reference")]
    assert await lines(sandbox, "typed.get") == [(1, "unresolved-reference")]


async def test_modules_of_another_program_do_not_exist(sandbox: MontySandbox) -> None:
    assert await lines(sandbox, "import typed", TYPED) == []
    assert await lines(sandbox, "import typed", DESK) == [(1, "unresolved-import")]
    changed = Module("typed", TYPED.functions, "async def get(id: str) -> str: ...\n")
    assert await lines(sandbox, "import typed\nawait typed.get('a')", changed) == []
    assert await lines(sandbox, "import typed\nawait typed.get('a')", TYPED) == [(2, "invalid-argument-type")]


async def test_nothing_runs(sandbox: MontySandbox) -> None:
    assert await lines(sandbox, "while True:\n    pass") == []
    assert await sandbox.check("import desk\nawait desk.revoke()", [DESK]) == []


async def test_an_answer_is_remembered_as_a_copy(sandbox: MontySandbox) -> None:
    first = await sandbox.check("nothing", [TYPED])
    first.append(Diagnostic(9, "added"))
    assert len(await sandbox.check("nothing", [TYPED])) == 1


async def test_many_sets_of_stubs_in_turn(sandbox: MontySandbox) -> None:
    for number in range(12):
        module = Module("m", (), f"def f(x: int) -> int: ...\nVALUE{number}: int\n")
        assert await lines(sandbox, f"import m\nm.VALUE{number}\nm.f('a')", module) == [(3, "invalid-argument-type")]


OTHER = Module("other", (Function("put", ("key",)),), "async def put(key: str) -> None: ...\n")
TYPED_ANEW = Module("typed", (Function("get", ("id",)),), "async def get(id: str) -> str: ...\n")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The workers that were given a new session, in order."""
    found: list[Worker] = []
    ask = Worker.ask

    async def noted(worker: Worker, request: bytes, *bound: int) -> Event:
        found.extend([worker] if request == checker._OPEN else [])
        return await ask(worker, request, *bound)

    monkeypatch.setattr(Worker, "ask", noted)
    return found


async def test_programs_with_different_modules_share_a_session(sandbox: MontySandbox, opened: list[Worker]) -> None:
    await lines(sandbox, "import typed, other", TYPED, OTHER)
    opened.clear()
    for number in range(3):
        assert await lines(sandbox, f"import typed\nawait typed.get({number})", TYPED) == []
        assert await lines(sandbox, f"import other\nawait other.put({number})", OTHER) == [(2, "invalid-argument-type")]
    assert opened == []


@pytest.mark.parametrize(
    "code",
    [
        "import typed\nawait typed.get({n})",
        "import typed as t\nawait t.get({n})",
        "from typed import get\nawait get({n})",
        "async def f():\n    from typed import get\n    await get({n})",
        "import other, typed\nawait typed.get({n})",
    ],
)
async def test_a_program_sees_its_own_stubs_whatever_its_session_remembers(sandbox: MontySandbox, code: str) -> None:
    def said(number: int) -> str:
        return code.replace("{n}", str(number))

    place = code[: code.index("get({n})")].count("\n") + 1
    assert await lines(sandbox, said(1), TYPED, OTHER) == []
    assert await lines(sandbox, said(2), TYPED_ANEW, OTHER) == [(place, "invalid-argument-type")]
    assert await lines(sandbox, said(3), TYPED, OTHER) == []
    # To whoever may not see it, it does not exist, though the session has just had it.
    rules = [rule for _, rule in await lines(sandbox, said(4), OTHER)]
    assert rules == ["unresolved-import"]
    assert await lines(sandbox, said(5), TYPED, OTHER) == []


@pytest.mark.parametrize(
    "code", ["from . import typed\nawait typed.get('a')", "from .typed import get\nawait get('a')"]
)
async def test_a_relative_import_shows_nothing_of_what_a_session_remembers(sandbox: MontySandbox, code: str) -> None:
    fresh = await lines(sandbox, f"# before\n{code}", OTHER)
    assert await lines(sandbox, "import typed\nawait typed.get(6)", TYPED) == []
    assert await lines(sandbox, f"# afterwards\n{code}", OTHER) == fresh


async def test_a_session_remembers_only_so_many_modules(
    sandbox: MontySandbox, monkeypatch: pytest.MonkeyPatch, opened: list[Worker]
) -> None:
    monkeypatch.setattr(checker, "MAX_REMEMBERED", 2)
    for number in range(6):
        name = f"server{number}"
        module = Module(name, TYPED.functions, TYPED.stubs)
        assert await lines(sandbox, f"import {name}\nawait {name}.get('a')", module) == [(2, "invalid-argument-type")]
        assert await lines(sandbox, f"import {name}\nawait {name}.get(1)", module) == []
    assert 2 <= len(opened) <= 3
