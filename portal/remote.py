"""The command line's way to a portal that is running already: over MCP, as the local person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import mcp_types as t
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from portal.app import open_auth
from portal.programs.reply import Reply
from portal.settings import PortalSettings, address_in_environment
from portal.whereabouts import noted_address
from shared_auth.configuration import is_loopback

PROBE_TIMEOUT_S = 2.0


Show = Callable[[str, str], bool]
"""``show(message, url)`` sends the person to a page; returns whether they have been there. May take its time."""


async def call(
    settings: PortalSettings, tool: str, arguments: dict[str, Any], show: Show | None = None
) -> Reply | None:
    """Return what the running portal answers, None when none runs.

    ``show`` is called in a thread when a program waits for its person. The token goes to a loopback address only:
    anything else at our public name would be handed a credential.
    """
    found = await running(settings) if settings.local_sign_in else None
    if found is None:
        return None
    async with open_auth(found) as auth:
        token = await auth.local_token(ttl_s=settings.auth.access_token_s)
    timeout = httpx2.Timeout(settings.limits.wall_s + 30, connect=PROBE_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http,
        Client(
            streamable_http_client(found.endpoint, http_client=http),
            cache=None,
            elicitation_callback=None if show is None else _showing(show),
        ) as client,
    ):
        answer = await client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in answer.content if isinstance(block, TextContent))
        return Reply(text, is_error=bool(answer.is_error))


async def running(settings: PortalSettings) -> PortalSettings | None:
    """Return the settings with the address at which a portal of this machine answers, None when none does.

    An address in the command's own environment is the only one tried. Else it is that of the portal that runs on the
    same data_dir, whatever port it was started with, and then that of the settings.
    """
    for candidate in _candidates(settings):
        if is_loopback(urlsplit(candidate.issuer).hostname or "") and await _answers(candidate):
            return candidate
    return None


def _candidates(settings: PortalSettings) -> Iterator[PortalSettings]:
    noted = None if address_in_environment() else noted_address(settings.data_dir)
    if noted is not None:
        yield settings.model_copy(update={"public_url": noted})
    yield settings


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
