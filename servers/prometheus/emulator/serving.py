"""An ASGI application on a free port of the loopback address, inside this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

_PROBE_S = 0.01


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Yield the address, such as ``http://127.0.0.1:40123``, while the application answers there."""
    # The protocol is named because asyncio turns Nagle's algorithm off for sockets that say TCP, and for no other:
    # without it every answer would wait 40 ms for the client's delayed acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="demo-vendor")
        try:
            # The socket listens already; but a server that is asked to stop before it has started never notices.
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers a flag and no event
                await asyncio.sleep(_PROBE_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await task
