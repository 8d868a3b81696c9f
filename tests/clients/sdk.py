"""The MCP Python SDK as an agent: ``python -m tests.clients.sdk URL [TOKEN]`` lists the tools and runs ``6*7``.

Without a token it signs in as a desktop agent does: prints a link, waits on loopback for the answer, and keeps the
login in its home.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import TextContent
from pydantic import AnyUrl
from starlette.datastructures import QueryParams

from tests.clients.agents import CALL

TIMEOUT_S = 60


class Login:
    """Keeps the login in a file. The SDK keeps no expiry: without it, a token from the file would never be renewed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    @property
    def expires_at(self) -> float | None:
        return self._kept.get("expires_at")

    async def get_tokens(self) -> OAuthToken | None:
        return OAuthToken.model_validate(self._kept["tokens"]) if "tokens" in self._kept else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._keep(tokens=tokens.model_dump(mode="json"), expires_at=time.time() + (tokens.expires_in or 0))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return OAuthClientInformationFull.model_validate(self._kept["client"]) if "client" in self._kept else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._keep(client=client_info.model_dump(mode="json"))

    def _keep(self, **values: object) -> None:
        self._kept |= values
        self._file.touch(mode=0o600)
        self._file.write_text(json.dumps(self._kept), encoding="utf-8")


@asynccontextmanager
async def signing_in(url: str) -> AsyncIterator[OAuthClientProvider]:
    """Yield what signs in to ``url`` when it must, with a listener on loopback for the browser's answer."""
    answered: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readline()).decode("latin-1").split(" ")[1]
        found = QueryParams(target.partition("?")[2])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        if "code" in found and not answered.done():
            answered.set_result(
                AuthorizationCodeResult(code=found["code"], state=found.get("state"), iss=found.get("iss"))
            )

    async def show(link: str) -> None:
        print(f"Open {link}\n", flush=True)

    async def wait() -> AuthorizationCodeResult:
        return await answered

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as listener:
        address = AnyUrl(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/callback")
        metadata = OAuthClientMetadata(
            client_name="MCP Python SDK", redirect_uris=[address], token_endpoint_auth_method="none"
        )
        kept = Login(Path.home() / "python-login.json")
        provider = OAuthClientProvider(url, metadata, kept, redirect_handler=show, callback_handler=wait)
        provider.context.token_expiry_time = kept.expires_at
        yield provider


async def main(url: str, token: str | None) -> None:
    """Print the names of the tools, and what ``6*7`` comes to."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        asyncio.timeout(TIMEOUT_S),
        signing_in(url) as login,
        httpx2.AsyncClient(trust_env=False, headers=headers, auth=None if token else login, timeout=TIMEOUT_S) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as client,
    ):
        print(*[tool.name for tool in (await client.list_tools()).tools])
        for block in (await client.call_tool("execute", {"code": CALL})).content:
            print(block.text if isinstance(block, TextContent) else block.type)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
