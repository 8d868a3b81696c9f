"""The command line's way to a portal that is running already: over MCP, as the local person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import mcp_types as t
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from portal.app import open_auth
from portal.programs.reply import Reply
from portal.settings import PortalSettings
from shared_auth.configuration import is_loopback

PROBE_TIMEOUT_S = 2.0


Show = Callable[[str, str], bool]
"""``show(message, url)`` sends the person to a page; returns whether they have been there. May take its time."""


async def call(
    settings: PortalSettings, tool: str, arguments: dict[str, Any], show: Show | None = None
) -> Reply | None:
    """Return what the running portal answers, None when none runs at the address of the settings.

    ``show`` is called in a thread when a program waits for its person. The token goes to a loopback address only:
    anything else at our public name would be handed a credential.
    """
    if not (is_loopback(settings.host) and settings.local_sign_in and await _answers(settings)):
        return None
    async with open_auth(settings) as auth:
        token = await auth.local_token(ttl_s=settings.auth.access_token_s)
    timeout = httpx2.Timeout(settings.limits.wall_s + 30, connect=PROBE_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http,
        Client(
            streamable_http_client(settings.endpoint, http_client=http),
            cache=None,
            elicitation_callback=None if show is None else _showing(show),
        ) as client,
    ):
        answer = await client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in answer.content if isinstance(block, TextContent))
        return Reply(text, is_error=bool(answer.is_error))


def _showing(show: Show) -> ElicitationFnT:
    async def elicit(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult | t.ErrorData:  # noqa: ARG001 - named by the interface
        if isinstance(params, t.ElicitRequestURLParams) and await asyncio.to_thread(show, params.message, params.url):
            return t.ElicitResult(action="accept")
        return t.ElicitResult(action="cancel")

    return elicit


async def _answers(settings: PortalSettings) -> bool:
    """Say whether a portal with our settings listens: its metadata names our endpoint."""
    url = f"{settings.issuer}/.well-known/oauth-protected-resource"
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_TIMEOUT_S) as http:
            answer = await http.get(url)
            return answer.status_code == 200 and answer.json().get("resource") == settings.endpoint
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
