"""A loopback proxy that adds a bearer token: the conformance suite has no way to sign in.

It works on bytes, so that a header which is wrong on purpose reaches the portal as it was sent. One request a connection.

``python -m tests.conformance.proxy PORT TARGET_PORT`` with the token in PROXY_TOKEN.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

MAX_HEAD_BYTES = 65_536


def rewritten(head: bytes, token: str, port: int, target_port: int) -> bytes:
    """Return a request head with the token added. Our own port in Host and Origin becomes the target's; foreign hosts
    pass unchanged.
    """
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [lines[0]]
    for line in lines[1:]:
        name = line.split(b":", 1)[0].lower()
        if name in {b"connection", b"authorization"}:
            continue
        ours = name in {b"host", b"origin"}
        kept.append(line.replace(b":%d" % port, b":%d" % target_port) if ours else line)
    kept += [b"Connection: close", b"Authorization: Bearer " + token.encode()]
    return b"\r\n".join(kept) + b"\r\n\r\n"


async def serve(port: int, target_port: int, token: str) -> None:
    """Serve until cancelled."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(MAX_HEAD_BYTES):
                writer.write(part)
                await writer.drain()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", target_port)
            back.write(rewritten(head, token, port, target_port))
            sending = asyncio.create_task(pump(reader, back))
            await pump(there, writer)
            sending.cancel()
            back.close()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "localhost", port, limit=MAX_HEAD_BYTES)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), os.environ["PROXY_TOKEN"]))
