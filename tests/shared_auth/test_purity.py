"""The rules are pure: what decides about a token or a document reads no clock, no network, no database, no environment."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared_auth
from shared_auth import claims
from shared_auth.identity import id_token

ROOM = Path(shared_auth.__file__).parent
PURE = (
    *("jose.py", "claims.py", "reasons.py", "configuration.py", "readable.py", "identity/id_token.py"),
    *("authorization/redirects.py", "authorization/document.py", "authorization/requests.py"),
)
IMPURE = frozenset({"asyncio", "datetime", "httpx", "os", "random", "secrets", "socket", "sqlalchemy", "time"})


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.requirement("SH-01")
@pytest.mark.parametrize("name", PURE)
def test_a_rule_imports_nothing_that_reads_the_world(name: str) -> None:
    assert not IMPURE & set(imported(ROOM / name))


@pytest.mark.requirement("SH-01")
@pytest.mark.parametrize("judge", [claims.judge, id_token.judge])
def test_a_judge_of_claims_is_told_the_time(judge: object) -> None:
    assert callable(judge)
    assert inspect.signature(judge).parameters["now"].default is inspect.Parameter.empty


@pytest.mark.requirement("JW-29")
def test_one_module_touches_python_jose_and_takes_its_signatures_alone() -> None:
    users = {path.relative_to(ROOM).as_posix() for path in ROOM.rglob("*.py") if "jose" in set(imported(path))}
    assert users == {"jose.py"}
    used = {
        node.func.attr
        for node in ast.walk(ast.parse((ROOM / "jose.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if node.func.value.id in {"jws", "jwt", "jwk", "jwe"}
    }
    assert used == {"sign", "verify"}
