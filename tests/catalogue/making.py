"""Tools and catalogues for these tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as t

from portal.catalogue.gather import gather
from portal.catalogue.records import ServerState, Tool
from portal.catalogue.snapshot import Catalogue

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


def listed(
    name: str,
    description: str = "",
    inputs: Mapping[str, Any] | None = None,
    output: Mapping[str, Any] | None = None,
    annotations: t.ToolAnnotations | None = None,
    meta: dict[str, Any] | None = None,
) -> t.Tool:
    """Return a tool as an upstream lists it."""
    return t.Tool(
        name=name,
        description=description,
        input_schema=dict(NOTHING if inputs is None else inputs),
        output_schema=None if output is None else dict(output),
        annotations=annotations,
        _meta=meta,
    )


def read_only(name: str, description: str = "", inputs: Mapping[str, Any] | None = None, **more: Any) -> t.Tool:
    """Return a tool that says it only reads."""
    return listed(name, description, inputs, annotations=t.ToolAnnotations(read_only_hint=True), **more)


def properties(**schemas: Any) -> dict[str, Any]:
    """Return an input schema whose parameters are all required."""
    return {"type": "object", "properties": schemas, "required": list(schemas)}


def gathered(server: str, *tools: t.Tool) -> list[Tool]:
    """Return the records of a listing of which nothing may be refused."""
    found, rejects = gather(server, tools)
    assert not rejects
    return found


def catalogue(states: Sequence[ServerState] = (), **servers: Sequence[t.Tool]) -> Catalogue:
    """Return the catalogue of these servers."""
    known = {state.name: state for state in states}
    tools = [tool for server, listing in servers.items() for tool in gathered(server, *listing)]
    return Catalogue(tools, [*(known.pop(name, ServerState(name)) for name in servers), *known.values()])
