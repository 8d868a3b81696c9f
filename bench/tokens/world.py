"""The servers of the default configuration over their demo company, as every way of the token bench meets them.

``python -m bench.tokens.world PORT FOLDER [padded]`` serves ``/<server>/mcp`` for each server, and ``/all/mcp`` with
all tools as ``<server>_<tool>``. ``padded`` adds the tools of the development set, which can be found but not called.
What it runs on is written to ``FOLDER/world.json`` once it answers.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import mcp_types as t
import uvicorn
from mcp import Client
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bench.recall import development
from servers._kit.server import PRINCIPAL_META
from servers.prometheus import demo
from shared_auth.principal import Principal
from tests.running import ROOT

PERSON = Principal("bench", "bench", "bench", groups=frozenset({"portal-writers"}), email="bench@acme.test")
NEW_SERVICE = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: loyalty-service, description: Points for what people buy.}
spec: {type: service, lifecycle: experimental, owner: group:default/checkout, system: checkout}
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool and who answers it; nobody answers padding."""

    definition: t.Tool
    client: Client | None


def padding() -> dict[str, list[t.Tool]] | None:
    """Return the listings of the development set under names that a server may have; None when it is absent."""
    found = development()
    if found is None:
        return None
    return {_name(name): listing for name, listing in found.listings.items()}


def _name(server: str) -> str:
    plain = re.sub(r"\W", "_", server).lower()
    return f"mcp_{plain}" if plain[0].isdigit() else plain


def configured(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the servers of the default configuration, their files in ``folder``."""
    found: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "portal.toml").read_text(encoding="utf-8"))["upstreams"]
    catalog = found["catalog"]["settings"]
    catalog["folder"], catalog["state_dir"] = str(folder), str(folder / "registered")
    return found


def forwarding(name: str, tools: Mapping[str, Tool]) -> Server[Any]:
    """Return an MCP server that hands each call to who answers it, as one person."""

    async def on_list_tools(_ctx: ServerRequestContext[Any], _params: object) -> t.ListToolsResult:
        listed = [tool.definition.model_copy(update={"name": shown}) for shown, tool in tools.items()]
        return t.ListToolsResult(tools=listed)

    async def on_call_tool(_ctx: ServerRequestContext[Any], params: t.CallToolRequestParams) -> t.CallToolResult:
        tool = tools.get(params.name)
        if tool is None or tool.client is None:
            return t.CallToolResult(content=[t.TextContent(type="text", text="unknown tool")], is_error=True)
        meta: Any = {PRINCIPAL_META: PERSON.to_json()}
        answer = await tool.client.call_tool(tool.definition.name, params.arguments or {}, meta=meta)
        if not answer.is_error:
            text = json.dumps(answer.structured_content, ensure_ascii=False)
            answer = answer.model_copy(update={"content": [t.TextContent(type="text", text=text)]})
        return answer

    return Server(name, on_list_tools=on_list_tools, on_call_tool=on_call_tool)


class World:
    """An ASGI application that opens everything at start; ``started_s`` is when the demo company's hour ends."""

    def __init__(self, port: int, folder: Path, *, padded: bool) -> None:
        self._port = port
        self._folder = folder
        self._padded = padded
        self._endpoints: dict[str, StreamableHTTPASGIApp] = {}

    def app(self) -> Starlette:
        return Starlette(lifespan=self._lifespan, routes=[Route("/{server}/mcp", _Endpoint(self._endpoints))])

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            servers = configured(self._folder)
            vendor = await stack.enter_async_context(
                demo.running(self._folder, {"catalog": str(self._folder / "catalog-info"), "backend": "emulator"})
            )
            servers["prometheus"].setdefault("settings", {}).update(vendor)
            by_server: dict[str, dict[str, Tool]] = {}
            for name, found in servers.items():
                module = import_module(f"{found['module']}.server")
                client = await stack.enter_async_context(Client(module.create(found.get("settings", {}))))
                listed = (await client.list_tools()).tools
                by_server[name] = {tool.name: Tool(tool, client) for tool in listed}
            for name, listing in (padding() or {}).items() if self._padded else ():
                by_server[name] = {tool.name: Tool(tool, None) for tool in listing}
            every = {f"{server}_{name}": tool for server, tools in by_server.items() for name, tool in tools.items()}
            for name, tools in {**by_server, "all": every}.items():
                manager = StreamableHTTPSessionManager(
                    app=forwarding(name, tools),
                    stateless=True,
                    security_settings=TransportSecuritySettings(allowed_hosts=[f"127.0.0.1:{self._port}"]),
                )
                await stack.enter_async_context(manager.run())
                self._endpoints[name] = StreamableHTTPASGIApp(manager)
            state = {"servers": list(by_server), "tools": len(every), **vendor}
            (self._folder / "world.json").write_text(json.dumps(state), encoding="utf-8")
            yield


class _Endpoint:
    def __init__(self, endpoints: Mapping[str, StreamableHTTPASGIApp]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoints[scope["path_params"]["server"]](scope, receive, send)


def prepare(folder: Path) -> None:
    """Copy the demo company into ``folder``, and lay a file beside it that nobody registered yet."""
    shutil.copytree(ROOT / "catalog-info", folder / "catalog-info")
    for path in (ROOT / "servers").glob("*/catalog-info.yaml"):
        beside = folder / path.relative_to(ROOT)
        beside.parent.mkdir(parents=True)
        shutil.copy(path, beside)
    (folder / "incoming").mkdir()
    (folder / "incoming" / "loyalty.yaml").write_text(NEW_SERVICE, encoding="utf-8")


if __name__ == "__main__":
    port = int(sys.argv[1])
    app = World(port, Path(sys.argv[2]), padded="padded" in sys.argv[3:]).app()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
