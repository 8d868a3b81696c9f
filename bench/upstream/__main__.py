"""Serve the bench upstream over HTTP, without authentication, on a loopback port."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route

from bench.upstream.server import create

port = int(sys.argv[1])
manager = StreamableHTTPSessionManager(
    app=create({}),
    stateless=True,
    security_settings=TransportSecuritySettings(allowed_hosts=[f"127.0.0.1:{port}"], allowed_origins=[]),
)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with manager.run():
        yield


app = Starlette(lifespan=lifespan, routes=[Route("/mcp", StreamableHTTPASGIApp(manager))])
uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
