"""Programs as agents write them, and the servers that they call. The programs stand in data/, each with its value."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from portal.sandbox.contract import CallFailed, Function, Module

DATA = Path(__file__).parent / "data"
_PROGRAM = re.compile(r"^=== (.+)\n((?:(?!^=== |^--- ).*\n)+)(?:^--- (.*)\n)?", re.MULTILINE)

TRACKER = Module(
    "tracker",
    (
        Function("list_issues", ("project", "status", "limit", "cursor")),
        Function("get_issue", ("key",)),
        Function("add_comment", ("key", "text")),
        Function("flaky", ("attempt",)),
        Function("never", ()),
    ),
    "from typing import Any\n"
    "async def list_issues(project: str, status: str | None = None, limit: int = 5, cursor: int = 0) -> Any: ...\n"
    "async def get_issue(key: str) -> Any: ...\n"
    "async def add_comment(key: str, text: str) -> Any: ...\n"
    "async def flaky(attempt: int) -> Any: ...\n"
    "async def never() -> Any: ...\n",
)
PEOPLE = Module(
    "people", (Function("get", ("name",)),), "from typing import Any\nasync def get(name: str) -> Any: ...\n"
)
METRICS = Module(
    "metrics",
    (Function("series", ("service",)),),
    "from typing import Any\nasync def series(service: str) -> Any: ...\n",
)
MODULES = [TRACKER, PEOPLE, METRICS]

NAMES = ("ann", "bob", "eve")
ISSUES = [
    {
        "key": f"OPS-{n}",
        "title": f"Issue number {n}",
        "status": "closed" if n % 3 == 0 else "open",
        "assignee": NAMES[n % 3],
        "points": n * 7 % 5 + 1,
        "labels": ["bug"] if n % 2 else ["bug", "infra"],
        "created": f"2026-01-{n:02}T09:00:00+00:00",
    }
    for n in range(1, 13)
]
POINTS = [12.0, 14.5, 13.2, 80.0, 12.9, 15.1, 13.8, 14.0, 12.4, 13.3]


async def world(module: str, function: str, arguments: dict[str, Any]) -> Any:
    """Answer as the servers would."""
    await asyncio.sleep(0)
    return await _ANSWERS[module, function](**arguments)


async def _list_issues(project: str, status: str | None = None, limit: int = 5, cursor: int = 0) -> Any:
    found = [issue for issue in ISSUES if status in {None, issue["status"]}]
    after = cursor + limit
    return {"issues": found[cursor:after], "next": after if after < len(found) else None}


async def _get_issue(key: str) -> Any:
    for issue in ISSUES:
        if issue["key"] == key:
            return issue
    raise CallFailed(f"no issue {key}", "LookupError")


async def _add_comment(key: str, text: str) -> Any:
    return f"{key}: {text}"


async def _flaky(attempt: int) -> Any:
    if attempt < 3:
        raise CallFailed("busy", "RuntimeError")
    return "at last"


async def _never() -> Any:
    await asyncio.Event().wait()


async def _get(name: str) -> Any:
    return {"name": name, "email": f"{name}@example.org", "team": "core" if name < "c" else "edge"}


async def _series(service: str) -> Any:
    return [{"t": n, "v": value} for n, value in enumerate(POINTS)]


_ANSWERS: dict[tuple[str, str], Any] = {
    ("tracker", "list_issues"): _list_issues,
    ("tracker", "get_issue"): _get_issue,
    ("tracker", "add_comment"): _add_comment,
    ("tracker", "flaky"): _flaky,
    ("tracker", "never"): _never,
    ("people", "get"): _get,
    ("metrics", "series"): _series,
}


def programs() -> list[tuple[str, str, Any]]:
    """Return name, source and value of each."""
    return [
        (match[1], match[2], json.loads(match[3] or "null"))
        for file in sorted(DATA.glob("programs_*.txt"))
        for match in _PROGRAM.finditer(file.read_text("utf-8"))
    ]
