"""A reverse proxy on loopback that stands before the portal and notes what an agent really asked and was told.

What an agent prints is its own opinion; which protocol revision it spoke and which tools it was given is seen here.
The portal runs with this address as its ``public_url``, so to the agents this *is* the portal. No header and no token
is kept.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

START_TIMEOUT_S = 10.0
MAX_NOTED_BYTES = 1_000_000
HOP_BY_HOP = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. ``revision`` is the protocol revision it was spoken in, "" when none was said.

    ``grant_type`` is how a token was asked for: that word alone, nothing else of the form.
    """

    path: str
    status: int
    rpc: str = ""
    revision: str = ""
    tools: tuple[str, ...] = ()
    grant_type: str = ""


class Witness:
    """Notes exchanges. Written by the proxy's thread, read by another; a list's append is atomic."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._exchanges: list[Exchange] = []

    def note(self, exchange: Exchange) -> None:
        """Keep ``exchange``."""
        self._exchanges.append(exchange)

    def take(self) -> list[Exchange]:
        """Return what was noted since the last time."""
        taken, self._exchanges = self._exchanges, []
        return taken


def read(path: str, asked: bytes, header: str, status: int, answered: bytes) -> Exchange:
    """Return what an exchange was about. Never raises: agents and portal may send anything."""
    if path == "/token":
        return Exchange(path, status, grant_type=QueryParams(asked.decode("latin-1")).get("grant_type", ""))
    question = _object(asked)
    rpc = question.get("method")
    if not isinstance(rpc, str):
        return Exchange(path, status)
    result = next((found for found in _answers(answered) if found), {})
    agreed = result.get("protocolVersion")
    tools = result.get("tools")
    names = [tool.get("name") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    revision = agreed if rpc == "initialize" and isinstance(agreed, str) else header
    return Exchange(path, status, rpc, revision, tuple(str(name) for name in names))


def _answers(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the ``result`` of every message in ``body``, JSON or event stream."""
    lines = body.splitlines()
    events = [line[5:] for line in lines if line.startswith(b"data:")]
    for message in events or [body]:
        result = _object(message).get("result")
        yield result if isinstance(result, dict) else {}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def application(target: str, witness: Witness) -> Starlette:
    """Return the proxy to ``target``. Every header, Host too, passes unchanged."""
    # A bare transport: a client would keep the cookies of one browser and send them with the next one's requests.
    transport = httpx.AsyncHTTPTransport()

    async def forward(request: Request) -> Response:
        asked = await request.body()
        path = request.url.path
        url = f"{target}{path}?{request.url.query}" if request.url.query else f"{target}{path}"
        headers = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP]
        incoming = await transport.handle_async_request(
            httpx.Request(request.method, url, headers=headers, content=asked)
        )
        header = request.headers.get("mcp-protocol-version", "")

        async def body() -> AsyncIterator[bytes]:
            noted = b""
            try:
                async for part in incoming.aiter_raw():
                    noted += part if len(noted) < MAX_NOTED_BYTES else b""
                    yield part
            finally:
                await incoming.aclose()
                witness.note(read(path, asked, header, incoming.status_code, noted))

        kept = [(name, value) for name, value in incoming.headers.multi_items() if name not in HOP_BY_HOP]
        answer = StreamingResponse(body(), incoming.status_code)
        answer.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
        return answer

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with transport:
            yield

    methods = ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"]
    return Starlette(routes=[Route("/{path:path}", forward, methods=methods)], lifespan=lifespan)


@contextmanager
def standing_before(target: str, port: int) -> Iterator[Witness]:
    """Yield a witness that listens on ``port`` of this machine and passes everything on to ``target``."""
    witness = Witness(f"http://127.0.0.1:{port}")
    config = uvicorn.Config(
        application(target, witness), host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise RuntimeError(f"the witness could not listen on port {port}")
            time.sleep(0.01)
        yield witness
    finally:
        server.should_exit = True
        thread.join(10)
