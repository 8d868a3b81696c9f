"""A client that costs nearly nothing: one kept connection, one request at a time, bytes in and bytes out.

The SDK's client spends more on a call than a server does; with many clients on one machine it would be measured
instead.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Raw:
    """An MCP 2026-07-28 client over one connection."""

    def __init__(self, url: str, headers: Mapping[str, str], reader: Any, writer: Any) -> None:
        parts = urlsplit(url)
        fields = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            **headers,
        }
        self._head = f"POST {parts.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        self._reader = reader
        self._writer = writer
        self._id = 0

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of one call. Raises RuntimeError when it did not succeed."""
        return await self._ask("tools/call", {"name": tool, "arguments": arguments}, f"Mcp-Name: {tool}\r\n")

    async def list_tools(self) -> dict[str, Any]:
        """Return the first page of tools: what an endpoint costs that does nothing."""
        return await self._ask("tools/list", {}, "")

    async def _ask(self, method: str, params: Mapping[str, Any], fields: str) -> dict[str, Any]:
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": {**params, "_meta": META}}
        body = json.dumps(message).encode()
        head = f"{self._head}Mcp-Method: {method}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._answer()
        text = answer.decode()
        if text.startswith(("event:", ":")):
            text = next(line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
        result: dict[str, Any] = json.loads(text).get("result", {})
        if not result or result.get("isError"):
            raise RuntimeError(text[:500])
        return result

    async def _answer(self) -> bytes:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length:" in head:
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            return bytes(await self._reader.readexactly(length))
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readline()
        return b"".join(parts)


@asynccontextmanager
async def raw(url: str, headers: Mapping[str, str]) -> AsyncIterator[Raw]:
    """Yield a client with its connection."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    try:
        yield Raw(url, headers, reader, writer)
    finally:
        writer.close()
