"""The ways to work: what a competent agent does with each endpoint to finish a task whose program it has in mind.

It searches in its own words first. What it has not been shown it asks for: a tool by its name, a parameter or a key of
a result by the tool's whole definition. Where it calls tools one by one, calls that do not wait for one another go out
in one turn, and joining their results costs it nothing. It never errs, and writes nothing but calls and its answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mcp_types as t
from mcp import Client

from bench.tokens.conversation import Call, Conversation, compact
from bench.tokens.programs import for_code_mode, for_portal, keys_of, locally, names_of, tools_of
from bench.tokens.tasks import Task

QUIET_TURNS = 50
"""Turns of the event loop after which a program that has not ended waits for calls."""


@dataclass(slots=True)
class Done:
    """``found``: its own queries showed every tool that it needed. ``answer`` is what it tells the person."""

    conversation: Conversation
    found: bool
    answer: Any


class NotFound(Exception):
    """The agent could not learn of a tool that it needs."""


class Way(Protocol):
    """One endpoint and how to work with it."""

    async def work(self, task: Task) -> Done: ...


class Session:
    """One conversation over one endpoint."""

    def __init__(self, client: Client, definitions: str, task: Task) -> None:
        self._client = client
        self.conversation = Conversation()
        self.conversation.add("tools", definitions)
        self.conversation.add("asked", task.asked)

    async def turn(self, calls: Sequence[Call], *, searching: bool = False) -> list[str]:
        """Send the calls of one turn at once and return their answers. Raises RuntimeError when one fails."""
        self.conversation.request()
        for call in calls:
            self.conversation.add("written", call.text())
        answers = await asyncio.gather(*(self._client.call_tool(call.name, dict(call.arguments)) for call in calls))
        texts = []
        for call, answer in zip(calls, answers, strict=True):
            text = _text(answer)
            if answer.is_error:
                raise RuntimeError(f"{call.text()[:2000]}\n{text[:1000]}")
            self.conversation.add("tools" if searching else "result", text)
            texts.append(text)
        return texts

    def end(self, answer: Any, *, found: bool) -> Done:
        self.conversation.request()
        self.conversation.add("written", compact(answer))
        return Done(self.conversation, found, answer)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What every way knows: a client, what it lists, and the keys of every tool's results by full name."""

    client: Client
    definitions: str
    results: Mapping[str, frozenset[str]]

    def session(self, task: Task) -> Session:
        return Session(self.client, self.definitions, task)


async def endpoint(client: Client, everything: Sequence[t.Tool]) -> Endpoint:
    """Return an endpoint. ``everything`` lists all tools as ``server_tool``."""
    listed = await listing(client)
    definitions = compact(
        [{"name": tool.name, "description": tool.description, "parameters": tool.input_schema} for tool in listed]
    )
    return Endpoint(client, definitions, {tool.name: frozenset(keys_of(tool.output_schema)) for tool in everything})


async def listing(client: Client) -> list[t.Tool]:
    """Return every tool of an endpoint, page after page."""
    found: list[t.Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


class AllListed:
    """Every tool in every request, called one by one."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at

    async def work(self, task: Task) -> Done:
        session = self._at.session(task)
        answer = await _one_by_one(task.program, session, Call)
        return session.end(answer, found=True)


class SearchAndCall:
    """FastMCP's search transform: ``search_tools``, then ``call_tool`` one by one."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at

    async def work(self, task: Task) -> Done:
        session = self._at.session(task)
        needed = [name.replace(".", "_") for name in tools_of(task.program)]
        found = await _searched(session, task, needed, "search_tools", _listed_names)
        answer = await _one_by_one(
            task.program, session, lambda name, given: Call("call_tool", {"name": name, "arguments": given})
        )
        return session.end(answer, found=found)


class CodeMode:
    """FastMCP's CodeMode: ``search``, ``get_schema`` of what the program needs, ``execute``."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at

    async def work(self, task: Task) -> Done:
        session = self._at.session(task)
        needed = [name.replace(".", "_") for name in tools_of(task.program)]
        found = await _searched(session, task, needed, "search", _brief_names)
        await session.turn([Call("get_schema", {"tools": needed})], searching=True)
        if unknown := unseen(task.program, session):
            whole = [name for name in needed if unknown & self._at.results[name]] or needed
            await session.turn([Call("get_schema", {"tools": whole, "detail": "full"})], searching=True)
        if unknown := unseen(task.program, session):
            raise NotFound(f"{task.name}: nowhere shown: {sorted(unknown)}")
        [text] = await session.turn([Call("execute", {"code": for_code_mode(task.program)})])
        return session.end(_value(text), found=found)


class Portal:
    """The portal: ``search`` with all queries, whole definitions of what that did not show, ``execute``."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at

    async def work(self, task: Task) -> Done:
        session = self._at.session(task)
        needed = tools_of(task.program)
        [text] = await session.turn([Call("search", {"queries": task.queries})], searching=True)
        stubs, names = _stubs(text), _names(text)
        found = all(name in stubs or name in names for name in needed)
        unknown = unseen(task.program, session)
        whole = [name for name in needed if name not in stubs or unknown & self._at.results[name.replace(".", "_")]]
        if whole:
            await session.turn([Call("search", {"queries": whole})], searching=True)
        if unknown := unseen(task.program, session):
            raise NotFound(f"{task.name}: nowhere shown: {sorted(unknown)}")
        [text] = await session.turn([Call("execute", {"code": for_portal(task.program)})])
        return session.end(json.loads(text.splitlines()[1]), found=found)


def unseen(program: str, session: Session) -> set[str]:
    """Return the names that a program uses and nothing in the conversation has shown."""
    words = set(re.findall(r"\w+", session.conversation.shown()))
    return {name for name in names_of(program) if not set(re.findall(r"\w+", name)) <= words}


async def _searched(
    session: Session, task: Task, needed: Sequence[str], search: str, names_in: Callable[[str], set[str]]
) -> bool:
    """Search with the task's queries, then for each tool that they missed in the words of its name. Return whether
    the queries sufficed. Raises NotFound.
    """
    texts = await session.turn([Call(search, {"query": query}) for query in task.queries], searching=True)
    shown = {name for text in texts for name in names_in(text)}
    missed = [name for name in needed if name not in shown]
    if missed:
        again = [Call(search, {"query": name.replace("_", " ")}) for name in missed]
        texts = await session.turn(again, searching=True)
        shown |= {name for text in texts for name in names_in(text)}
    if not shown >= set(needed):
        raise NotFound(f"{task.name}: search finds no {sorted(set(needed) - shown)} even by name")
    return not missed


async def _one_by_one(program: str, session: Session, written: Callable[[str, dict[str, Any]], Call]) -> Any:
    """Run a program in the agent's head: whatever it waits for at the same time is one turn of calls."""
    waiting: list[tuple[Call, asyncio.Future[Any]]] = []

    class Server:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, tool: str) -> Callable[..., asyncio.Future[Any]]:
            def call(**given: Any) -> asyncio.Future[Any]:
                future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                waiting.append((written(f"{self._name}_{tool}", given), future))
                return future

            return call

    running = asyncio.ensure_future(
        locally(program, {"catalog": Server("catalog"), "prometheus": Server("prometheus")})
    )
    while True:
        for _ in range(QUIET_TURNS):
            await asyncio.sleep(0)
        if running.done():
            return running.result()
        turn = waiting.copy()
        waiting.clear()
        for (_, future), text in zip(turn, await session.turn([call for call, _ in turn]), strict=True):
            future.set_result(_unwrapped(json.loads(text)))


def _unwrapped(value: Any) -> Any:
    return value["result"] if isinstance(value, dict) and set(value) == {"result"} else value


def _value(text: str) -> Any:
    """Return what CodeMode answered: JSON, but a string as it is."""
    try:
        return _unwrapped(json.loads(text))
    except ValueError:
        return text


def _text(answer: t.CallToolResult) -> str:
    return "\n".join(block.text for block in answer.content if isinstance(block, t.TextContent))


def _listed_names(text: str) -> set[str]:
    found = json.loads(text) if text.strip() else []
    found = _unwrapped(found)
    return {tool["name"] for tool in ([found] if isinstance(found, dict) else found)}


def _brief_names(text: str) -> set[str]:
    return set(re.findall(r"^- (\w[\w-]*)", text, re.MULTILINE))


def _stubs(text: str) -> set[str]:
    """Return the full names of the tools whose stubs a reply shows."""
    found, server = set(), ""
    for line in text.splitlines():
        if line.startswith("import "):
            server = line.split()[1]
        elif match := re.match(r"async def (\w+)\(", line):
            found.add(f"{server}.{match[1]}")
    return found


def _names(text: str) -> set[str]:
    """Return the full names of the tools that a reply lists by name."""
    return set(re.findall(r"^([a-z]\w*\.\w+)(?: \[\w+\])?:", text, re.MULTILINE))
