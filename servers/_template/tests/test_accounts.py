"""With people's own accounts: the vendor sees who calls, and whoever has connected none is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from servers._kit.credentials import credential
from servers._kit.http import open_http
from servers._kit.oauth_emulator import OAuthEmulator
from servers._kit.server import build
from servers._kit.testing import ToolError, accounts, connected
from servers._kit.tool import discover
from servers._template.client import Template
from servers._template.emulator import emulator
from servers._template.server import create
from shared_auth.principal import Principal

BOB = Principal(issuer="http://issuer.test", subject="bob", client_id="test", email="bob@acme.test")


async def test_the_vendor_sees_the_person_and_nobody_else_comes_through() -> None:
    people = OAuthEmulator(people=("ada",))
    people.person_of = {"Bearer of-ada": "ada"}.get  # type: ignore[method-assign, assignment]

    @asynccontextmanager
    async def client() -> AsyncIterator[Template]:
        transport = httpx.ASGITransport(app=emulator(people))
        async with open_http("http://notes.test", vendor="Template", as_caller=True, transport=transport) as http:
            yield Template(http)

    tools = discover("servers._template.tools")
    server = build("template", summary="", tools=tools, client=client, credentials=accounts(alice="of-ada"))
    async with connected(server) as alice, connected(server, BOB) as bob:
        assert (await alice.call("add_note", title="Release day", text="Thursday."))["author"] == "ada"
        with pytest.raises(ToolError, match="connect"):
            await bob.call("list_notes")


async def test_the_server_takes_credentials_and_its_client_asks_for_them() -> None:
    async with connected(create({}, credentials=accounts(alice="of-ada")), BOB) as bob:
        with pytest.raises(ToolError, match="connect"):
            await bob.call("list_notes")


async def test_outside_of_a_call_nobody_asks() -> None:
    with pytest.raises(LookupError):
        await credential()
