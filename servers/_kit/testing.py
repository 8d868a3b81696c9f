"""For the tests of servers: call a server in memory as a person, and the contract that every server must keep."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from mcp import Client
from mcp.server import Server
from mcp_types import RequestParamsMeta, TextContent, Tool

from servers._kit.credentials import Credential, Credentials
from servers._kit.server import ERROR_META, PRINCIPAL_META
from shared_auth.principal import Principal
from shared_auth.vault.credential import NotConnected

ALICE = Principal(issuer="http://issuer.test", subject="alice", client_id="test", name="Alice", email="alice@acme.test")
MAX_DESCRIPTION_CHARS = 700


class ToolError(Exception):
    """A tool answered ``is_error``; ``error`` is its ``{kind, message, …}``."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['kind']}: {error['message']}")
        self.error = error
        self.kind: str = error["kind"]


@dataclass(frozen=True, slots=True)
class Connection:
    """A server as one principal sees it."""

    client: Client
    principal: Principal

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Return the structured answer, unwrapped as a program sees it. Raises ToolError."""
        meta = cast("RequestParamsMeta", {PRINCIPAL_META: self.principal.to_json()})
        answer = await self.client.call_tool(tool, arguments, meta=meta)
        if answer.is_error:
            text = answer.content[0]
            said = text.text if isinstance(text, TextContent) else ""
            raise ToolError((answer.meta or {}).get(ERROR_META) or {"kind": "upstream", "message": said})
        value = answer.structured_content
        return value["result"] if isinstance(value, dict) and value.keys() == {"result"} else value

    async def tools(self) -> list[Tool]:
        """Return every tool of the server."""
        return (await self.client.list_tools()).tools


@asynccontextmanager
async def connected(server: Server[Any], principal: Principal = ALICE) -> AsyncIterator[Connection]:
    """Yield the server, running in memory, as ``principal`` sees it."""
    async with Client(server, cache=None) as client:
        yield Connection(client, principal)


def accounts(**tokens: str) -> Credentials:
    """Return the credentials of people by subject, as a portal has them where each connected their own account."""

    async def of(principal: Principal, _server_token: str = "", /, *, rejected: str = "") -> Credential:  # noqa: ARG001
        if principal.subject not in tokens:
            raise NotConnected
        return Credential(tokens[principal.subject])

    return of


def faults_of(tool: Tool) -> list[str]:
    """Return what is wrong with a tool's definition; empty means that it keeps the contract of docs/add-a-server.md."""
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,50}", tool.name):
        found.append("the name must be a snake_case verb and noun")
    description = tool.description or ""
    if not 20 <= len(description) <= MAX_DESCRIPTION_CHARS:
        found.append(f"the description has {len(description)} characters, want 20 to {MAX_DESCRIPTION_CHARS}")
    hints = tool.annotations
    if hints is None or hints.read_only_hint is None or hints.destructive_hint is None:
        found.append("read-only and destructive hints must be set")
    meta = tool.meta or {}
    if not meta.get("mcp-portal/effect") or not meta.get("mcp-portal/scope"):
        found.append("effect and scope must be declared")
    if tool.output_schema is None:
        found.append("an output schema is missing")
    else:
        Draft202012Validator.check_schema(tool.output_schema)
    Draft202012Validator.check_schema(tool.input_schema)
    if tool.input_schema.get("additionalProperties") is not False:
        found.append("unknown arguments must be refused")
    for name, schema in tool.input_schema.get("properties", {}).items():
        found += [f"parameter {name}: {fault}" for fault in _unbounded(schema)]
    return found


def _unbounded(schema: dict[str, Any]) -> list[str]:
    """Say where a parameter could be arbitrarily large."""
    found = []
    for option in schema.get("anyOf", [schema]):
        kind = option.get("type")
        if "enum" in option or "const" in option or "$ref" in option:
            continue
        if kind == "string" and "maxLength" not in option and "format" not in option and "pattern" not in option:
            found.append("a string needs max_length")
        if kind == "array" and "maxItems" not in option:
            found.append("a list needs max_length")
        if kind in {"integer", "number"} and not ({"maximum", "exclusiveMaximum"} & option.keys()):
            found.append("a number needs an upper bound")
    return found
