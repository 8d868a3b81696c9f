"""What is asked under measurement: an endpoint, the SDK's client for it, and how a program calls the upstream there."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import mcp_types as t
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

_serial = itertools.count(1)


def fresh() -> int:
    """Return a number that was not used before: no program of a run is the same as another."""
    return next(_serial)


@dataclass(frozen=True, slots=True)
class Subject:
    """One endpoint: where it is, and how a program calls the upstream's tools there."""

    name: str
    url: str
    headers: Mapping[str, str]
    client: Client
    engine: str = ""
    imports: str = ""
    add: str = ""
    keep: str = ""
    rest: str = ""
    comment: str = "#"

    async def execute(self, body: str) -> str:
        """Run one program with the SDK's client. Raises RuntimeError with the answer when it does not succeed."""
        return await called(self.client, "execute", {"code": self.code(body)})

    def code(self, body: str) -> str:
        """Return a program that no cache has seen."""
        return f"{self.engine}{self.comment} {fresh()}\n{body}"

    def one(self, call: str) -> str:
        """Return a program that makes one call."""
        return f"{self.imports}i = {fresh()}\nreturn await {call}"

    def ten_in_sequence(self) -> str:
        return f"{self.imports}got = []\nfor i in range(10):\n    got.append(await {self.add})\nreturn len(got)"

    def forty_at_once(self) -> str:
        return self._at_once(40, self.add)

    def hundred_that_take_5_ms(self) -> str:
        return self._at_once(100, self.rest)

    def _at_once(self, count: int, call: str) -> str:
        return f"{self.imports}import asyncio\nreturn len(await asyncio.gather(*[{call} for i in range({count})]))"


def of_portal(
    name: str, url: str, headers: Mapping[str, str], client: Client, module: str, engine: str = ""
) -> Subject:
    """Return the portal with ``module`` as the upstream that programs import, on ``engine`` if not on Monty."""
    said = f"# engine: {engine}\n" if engine else ""
    calls = ("u.add(a=i, b=1)", "u.keep(value=i)", "u.rest()")
    return Subject(name, url, headers, client, said, f"import {module} as u\n", *calls)


def of_fastmcp(url: str, client: Client) -> Subject:
    """Return FastMCP's CodeMode."""
    calls = ("call_tool('add', {'a': i, 'b': 1})", "call_tool('keep', {'value': i})", "call_tool('rest', {})")
    return Subject("FastMCP CodeMode", url, {}, client, "", "", *calls)


def of_executor(url: str, client: Client) -> Subject:
    """Return Executor, whose programs are JavaScript."""
    return Subject("Executor", url, {}, client, comment="//")


async def called(client: Client, tool: str, arguments: Mapping[str, object]) -> str:
    """Call a tool with the SDK's client and return its text. Raises RuntimeError when it does not succeed."""
    answer = await client.call_tool(tool, dict(arguments))
    if answer.is_error:
        raise RuntimeError(str(answer.content[0])[:500])
    first = answer.content[0]
    return first.text if isinstance(first, t.TextContent) else ""


@asynccontextmanager
async def connected(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Client]:
    """Yield the SDK's client with a kept connection."""
    async with (
        httpx2.AsyncClient(headers=dict(headers or {}), timeout=120, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as client,
    ):
        yield client
