"""A loopback reverse proxy that adds a bearer token: the conformance suite has no way to sign in.

``python -m tests.conformance.proxy PORT TARGET`` with the token in PROXY_TOKEN.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "authorization"}


def application(target: str, token: str, port: int) -> Starlette:
    """Return the proxy. Host and Origin of the proxy's own port become the target's; foreign ones pass unchanged."""
    client = httpx.AsyncClient(timeout=None, trust_env=False)
    target_port = target.rsplit(":", 1)[1]

    async def forward(request: Request) -> Response:
        headers = [
            (name, value.replace(f":{port}", f":{target_port}") if name in {"host", "origin"} else value)
            for name, value in request.headers.items()
            if name not in HOP_BY_HOP
        ]
        headers.append(("authorization", f"Bearer {token}"))
        outgoing = client.build_request(
            request.method, target + request.url.path, headers=headers, content=await request.body()
        )
        incoming = await client.send(outgoing, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in incoming.aiter_raw():
                    yield part
            finally:
                await incoming.aclose()

        kept = {name: value for name, value in incoming.headers.items() if name not in HOP_BY_HOP}
        return StreamingResponse(body(), incoming.status_code, kept)

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST", "DELETE"])])


if __name__ == "__main__":
    listen = int(sys.argv[1])
    app = application(sys.argv[2], os.environ["PROXY_TOKEN"], listen)
    uvicorn.run(app, host="127.0.0.1", port=listen, log_level="warning")
