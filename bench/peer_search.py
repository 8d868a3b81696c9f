"""The peer: FastMCP's BM25 search transform over listed tools, asked as a client asks it.

Reads ``{"tools": […], "queries": […], "limit": n}`` and writes, for each query, the names that it found. Runs in an
environment of its own (its pins differ from ours).
"""

import asyncio
import json
import sys

from fastmcp import Client, FastMCP
from fastmcp.server.transforms.search import BM25SearchTransform
from fastmcp.tools import Tool


async def main() -> None:
    asked = json.load(sys.stdin)
    server = FastMCP("peer")
    for tool in asked["tools"]:
        server.add_tool(Tool(name=tool["name"], description=tool["description"], parameters=tool["input_schema"]))
    server.add_transform(BM25SearchTransform(max_results=asked["limit"]))
    found = []
    async with Client(server) as client:
        for query in asked["queries"]:
            answer = await client.call_tool("search_tools", {"query": query})
            listed = answer.structured_content["result"] if answer.structured_content else []
            found.append([tool["name"] for tool in listed])
    json.dump(found, sys.stdout)


asyncio.run(main())
