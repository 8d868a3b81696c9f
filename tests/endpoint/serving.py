"""The endpoint with everything before it but the door, and behind it a search and an execution that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import TextContent
from starlette.types import ASGIApp, Receive, Scope, Send

from portal.endpoint.http import Endpoint, FieldValues, HostGuard
from portal.endpoint.server import Progress, build
from portal.programs.handles import Kept, NoSuchResult
from portal.programs.notice import Answer, Notice
from portal.programs.presenting import Attachment
from portal.programs.reading import Part
from shared_auth.principal import Principal
from tests.upstream.serving import ALICE, Remote, on_port

BASE = "http://127.0.0.1:8300"
ERAS = ["2026-07-28", "legacy"]
MAX_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Said:
    """A reply."""

    text: str
    is_error: bool = False
    attachments: tuple[Attachment, ...] = ()
    pause: Notice | None = None


Execution = Callable[[str, Progress | None], Awaitable[Said]]


async def echo(code: str, _progress: Progress | None) -> Said:
    return Said(f"ran {code}")


@dataclass
class Behind:
    """What stands behind the endpoint: notes what it was asked, and does what ``execution`` does."""

    execution: Execution = echo
    search_error: Exception | None = None
    searches: list[tuple[list[str], str | None, int | None]] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    answers: list[tuple[str, str, Answer]] = field(default_factory=list)
    principals: list[Principal] = field(default_factory=list)
    progresses: list[Progress | None] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    parts: dict[str, list[Part]] = field(default_factory=dict)

    async def search(self, principal: Principal, queries: list[str], *, server: str | None, limit: int | None) -> str:
        self.principals.append(principal)
        self.searches.append((queries, server, limit))
        if self.search_error is not None:
            raise self.search_error
        return "found"

    async def execute(self, principal: Principal, code: str, progress: Progress | None = None) -> Said:
        self.principals.append(principal)
        self.programs.append(code)
        self.progresses.append(progress)
        return await self.execution(code, progress)

    async def listed(self, principal: Principal, cursor: str | None) -> tuple[list[Kept], str | None]:
        self.principals.append(principal)
        if self.search_error is not None:
            raise self.search_error
        return ([], None) if cursor else (self.kept, "more" if self.kept else None)

    async def read(self, principal: Principal, uri: str) -> list[Part]:
        self.principals.append(principal)
        if self.search_error is not None:
            raise self.search_error
        if uri not in self.parts:
            raise NoSuchResult
        return self.parts[uri]

    async def resume(self, principal: Principal, pause_id: str, progress: Progress | None = None) -> Said:
        self.principals.append(principal)
        self.resumed.append(pause_id)
        return await self.execution(f"resume {pause_id}", progress)

    async def answered(
        self, principal: Principal, carried: str, request: str, answer: Answer, progress: Progress | None = None
    ) -> Said:
        self.principals.append(principal)
        self.answers.append((carried, request, answer))
        return Said("went on")


class Waiting:
    """An execution that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _code: str, _progress: Progress | None) -> Said:
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Said("late")


class Let:
    """Lets everybody in as ALICE, where the door would judge a token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": {"principal": ALICE}}, receive, send)


@asynccontextmanager
async def application(behind: Behind, *, hosts: list[str] | None = None) -> AsyncIterator[ASGIApp]:
    """Yield the ASGI application."""
    security = TransportSecuritySettings(allowed_hosts=hosts or ["127.0.0.1:8300"], allowed_origins=[BASE])
    endpoint = Endpoint(build(behind, behind, behind, version="1"), security=security, max_request_bytes=MAX_BYTES)
    async with endpoint.running():
        yield FieldValues(HostGuard(Let(endpoint), security=security, paths=["/mcp"]))


@asynccontextmanager
async def browser(behind: Behind | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an HTTP client of the application, without any network."""
    async with (
        application(behind or Behind()) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE) as http,
    ):
        yield http


@asynccontextmanager
async def reaching(remote: Remote, mode: str) -> AsyncIterator[Client]:
    """Yield an MCP client of a served application."""
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
        Client(streamable_http_client(remote.url, http_client=http), cache=None, mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def agent(behind: Behind, mode: str) -> AsyncIterator[Client]:
    """Yield an MCP client that reaches the application over a loopback port."""
    async with (
        application(behind, hosts=["127.0.0.1:*"]) as app,
        on_port(app) as remote,
        reaching(remote, mode) as client,
    ):
        yield client


def said(answer: Any) -> tuple[str, bool]:
    """Return (the one text of an answer, whether it reports a failure)."""
    (block,) = answer.content
    assert isinstance(block, TextContent)
    assert answer.structured_content is None
    return block.text, bool(answer.is_error)
