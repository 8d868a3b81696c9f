"""FastMCP's client library as an agent: ``python fastmcp_client.py URL [TOKEN]`` lists the tools and runs ``6*7``.

It runs in FastMCP's own environment and imports nothing of ours. Without a token it signs in as a desktop agent does,
and keeps the login in its home.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fastmcp import Client
from fastmcp.client.auth import OAuth
from key_value.aio.stores.filetree import FileTreeStore, FileTreeV1KeySanitizationStrategy


async def main(url: str, token: str | None) -> None:
    """Print the names of the tools, and what ``6*7`` comes to. FastMCP itself prints the link, to its log."""
    folder = Path.home() / "fastmcp-login"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Its keys hold addresses, whose slashes must not become folders.
    names = FileTreeV1KeySanitizationStrategy(directory=folder)
    store = FileTreeStore(data_directory=folder, key_sanitization_strategy=names)
    login = OAuth(client_name="FastMCP client", token_storage=store)
    async with asyncio.timeout(60), Client(url, auth=token or login) as client:
        print(*[tool.name for tool in await client.list_tools()])
        for block in (await client.call_tool("execute", {"code": "6*7"})).content:
            print(block.text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
