"""The two tools as an agent sees them, and how their arguments are judged.

Every word here is paid for in every conversation of every agent: the two definitions together stay under 400 tokens
(tests/endpoint/test_tools.py measures them).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import mcp_types as t
from pydantic import BaseModel, ConfigDict, Field, ValidationError

SEARCH_DESCRIPTION = (
    "Find tools of the company's systems. Answers typed Python stubs for `execute`. Give one short query per step of "
    "the task. A full tool name gets its whole definition; no query gets the list of servers."
)
EXECUTE_DESCRIPTION = (
    "Run a Python program that calls tools. Each server is a module and each tool an async function, as `search` "
    "shows: `import catalog` then `await catalog.get_entity(ref='component:cart')`. Use `asyncio.gather` for calls "
    "that do not depend on one another. The last expression, or `return`, is the result; `print` is captured. Filter "
    "and join in the program; return only what you need. Also there: `save(x)`, `load(handle)`, "
    "`await each(items, f)`, `table(rows)`. No files, no network."
)

MAX_NAME_CHARS = 60

M = TypeVar("M", bound=BaseModel)


class SearchArguments(BaseModel):
    """Arguments of ``search``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queries: list[Annotated[str, Field(max_length=300)]] = Field(default_factory=list, max_length=10)
    server: Annotated[str, Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=30)] | None = None


class ExecuteArguments(BaseModel):
    """Arguments of ``execute``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: str | None = Field(default=None, min_length=1)
    resume: str | None = Field(default=None, min_length=1, max_length=100)

    @property
    def request(self) -> str:
        """What is executed: the code, or the id of what goes on. Raises BadArguments unless it is exactly one."""
        if (self.code is None) == (self.resume is None):
            raise BadArguments("Bad arguments: give code, or resume with the id of a paused program, not both")
        return self.code or self.resume or ""


class BadArguments(Exception):
    """The arguments do not fit; the message says which and what would."""


def definitions() -> list[t.Tool]:
    """Return the two tools. They are the same for everybody: what differs per principal is what ``search`` answers."""
    return [
        t.Tool(
            name="search",
            description=SEARCH_DESCRIPTION,
            input_schema={
                "type": "object",
                "properties": {
                    "queries": {"type": "array", "items": {"type": "string", "maxLength": 300}, "maxItems": 10},
                    "server": {"type": "string", "description": "only this server"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 30},
                },
                "additionalProperties": False,
            },
            annotations=t.ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False),
        ),
        t.Tool(
            name="execute",
            description=EXECUTE_DESCRIPTION,
            input_schema={
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "resume": {"type": "string", "description": "instead of code: id of a paused program"},
                },
                "additionalProperties": False,
            },
            # What a program may do is decided call by call; the worst of it is what the hints must say.
            annotations=t.ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True),
        ),
    ]


def parse(model: type[M], arguments: dict[str, Any] | None) -> M:
    """Return validated arguments. Raises BadArguments that never repeats a value."""
    try:
        return model.model_validate(arguments or {})
    except ValidationError as error:
        found = "; ".join(
            f"{_shown(e['loc'])}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False, include_context=False)[:5]
        )
        raise BadArguments(f"Bad arguments: {found}") from None


def _shown(place: tuple[int | str, ...]) -> str:
    """Return where in the arguments a fault is; a name that the caller made up may be anything, and of any length."""
    name = "".join(c if c.isprintable() else "?" for c in ".".join(map(str, place)))
    return name if len(name) <= MAX_NAME_CHARS else f"{name[:MAX_NAME_CHARS]}…"
