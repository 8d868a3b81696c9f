"""A gate with everything around it: a real catalogue, policy and record, and an upstream that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from portal.audit.audit import Audit
from portal.audit.query import CallRecord, program
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.snapshot import Catalogue
from portal.gate import Gate, Session
from portal.policy.engine import Policy
from portal.sections import BudgetSection
from shared_auth.principal import Principal

WRITER = Principal("https://id.example", "ada", "agent-1", groups=frozenset({"portal-writers"}))
READER = Principal("https://id.example", "bob", "agent-1")

GET_ISSUE = Tool(
    "gitlab",
    "get-issue",
    "get_issue",
    "",
    "read",
    {
        "type": "object",
        "properties": {
            "project-id": {"type": "string", "minLength": 1},
            "state": {"enum": ["opened", "closed"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 100},
            "labels": {"type": "array", "items": {"type": "string"}},
            "who": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "from": {"type": "string", "pattern": "^[0-9]{4}$"},
        },
        "required": ["project-id"],
        "additionalProperties": False,
    },
    parameters={
        "project_id": "project-id",
        "state": "state",
        "count": "count",
        "labels": "labels",
        "who": "who",
        "from_": "from",
    },
)
CLOSE_ISSUE = Tool(
    "gitlab",
    "close-issue",
    "close_issue",
    "",
    "write",
    {"type": "object", "properties": {"issue": {"type": "integer"}}, "required": ["issue"]},
    parameters={"issue": "issue"},
)
DELETE_PROJECT = Tool("gitlab", "delete-project", "delete_project", "", "destructive", {"type": "object"})
LIST_BOARDS = Tool("jira", "list-boards", "list_boards", "", "read", {"type": "object"})
TOOLS = (GET_ISSUE, CLOSE_ISSUE, DELETE_PROJECT, LIST_BOARDS)

Answer = Callable[[str, dict[str, Any]], Awaitable[Any]]


async def echo(tool: str, arguments: dict[str, Any]) -> Any:
    return {"tool": tool, "arguments": arguments}


class Upstream:
    """Answers calls as ``answer`` says and remembers them."""

    def __init__(self, answer: Answer = echo) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.principals: list[Principal] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def call(
        self, server: str, tool: str, arguments: dict[str, Any], principal: Principal, timeout_s: float
    ) -> Any:
        self.calls.append((server, tool, arguments))
        self.principals.append(principal)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.answer(tool, arguments)
        finally:
            self.in_flight -= 1


class Standing:
    """A gate, and programs behind it."""

    def __init__(
        self,
        audit: Audit,
        engine: AsyncEngine,
        answer: Answer = echo,
        *,
        tools: tuple[Tool, ...] = TOOLS,
        clock: Callable[[], float] = lambda: 0.0,
        policies: Sequence[Path] = (),
        **budget: Any,
    ) -> None:
        self.audit = audit
        self.engine = engine
        self.upstream = Upstream(answer)
        self.catalogue = Catalogue(tools, [ServerState("gitlab"), ServerState("jira")])
        policy = Policy.load(policies, write_groups=frozenset({"portal-writers"}))
        self.gate = Gate(policy, self.upstream, BudgetSection(**budget), clock=clock)

    async def program(self, principal: Principal = WRITER, before: dict[str, Any] | None = None) -> Program:
        log = await self.audit.begin(principal, source="a program")
        return Program(self, principal, log.id, self.gate.open(principal, self.catalogue, log, before))


class Program:
    """One program, and what the record says of it."""

    def __init__(self, standing: Standing, principal: Principal, identity: str, session: Session) -> None:
        self._standing = standing
        self._principal = principal
        self._id = identity
        self.session = session

    async def call(self, server: str, function: str, **arguments: Any) -> Any:
        return await self.session.call(server, function, arguments)

    async def recorded(self) -> tuple[CallRecord, ...]:
        """Return the calls on disk once everything that is queued now has been written."""
        await (await self._standing.audit.begin(self._principal, source="later")).durable()
        found = await program(self._standing.engine, self._principal, self._id)
        assert found is not None
        return found.calls

    def outcomes(self) -> list[tuple[str, str]]:
        return [(call.tool, call.outcome) for call in self.session.calls]


async def turns(count: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)
