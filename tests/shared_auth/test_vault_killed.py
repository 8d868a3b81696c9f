"""A process that is killed in the middle of a refresh, for real: what the next one finds and does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from portal.store.database import migrate, open_database
from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, GITLAB, OAuthEmulator
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.store import vendor_grants
from shared_auth.vault.answers import TokenAnswer
from shared_auth.vault.presets import vendor
from shared_auth.vault.vault import MARGIN_S
from shared_auth.vault.vendor import VaultServer
from shared_auth.vault.vendor_grants import LEASE_S
from tests.shared_auth.flow import ISSUER, RESOURCE
from tests.upstream.serving import on_port

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = AuthSettings(issuer=ISSUER, resource=RESOURCE, secret=b"s" * 32, local_sign_in=True)
ASK = """
import asyncio, json, sys, time
from tests.shared_auth.test_vault_killed import auth_at
from shared_auth.principal import Principal
from portal.store.database import open_database
from tests.shared_auth.flow import ISSUER

async def main() -> None:
    database, host, later = sys.argv[1], sys.argv[2], float(sys.argv[3])
    engine = open_database(database)
    vault = auth_at(engine, host, clock=lambda: time.time() + later).vault
    try:
        found = (await vault.credential(Principal(ISSUER, "ada", "agent"), "gitlab")).token
    except Exception as error:
        found = type(error).__name__
    await engine.dispose()
    print(json.dumps(found))

asyncio.run(main())
"""


def auth_at(engine: Any, host: str, **more: Any) -> Auth:
    server = VaultServer("gitlab", vendor("gitlab", host, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}))
    return Auth(SETTINGS, engine, servers=[server], **more)


class Holding:
    """A vendor that, while ``hold`` is set, holds its answers back: before it has done anything, or after."""

    def __init__(self, accounts: OAuthEmulator, *, when: str) -> None:
        self._app = accounts.before(Router())
        self._when = when
        self.hold = True
        self.held = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.hold:
            await self._app(scope, receive, send)
        elif self._when == "before":
            self.held.set()
            await asyncio.sleep(3_600)
        else:

            async def never(_message: Any) -> None:
                self.held.set()
                await asyncio.sleep(3_600)

            await self._app(scope, receive, never)


async def signed_in() -> bool:
    return True


@pytest.mark.requirement("VG-06")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_a_killed_process_leaves(tmp_path: Path, when: str) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path / 'portal.db'}"
    accounts = OAuthEmulator(GITLAB)
    holding = Holding(accounts, when=when)
    engine = open_database(database)
    await migrate(engine)
    async with on_port(holding) as remote:
        host = remote.url.removesuffix("/mcp")
        auth = auth_at(engine, host)
        await auth.start()
        first = given(accounts)
        answer = TokenAnswer(first[0], first[1], MARGIN_S, None)
        assert await auth.vault.connect("ada", "gitlab", answer, "read_api", signed_in) is None

        async def asking(later: float) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", ASK, database, host, str(later)),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=asyncio.subprocess.PIPE,
            )

        killed = await asking(0)
        async with asyncio.timeout(60):
            await holding.held.wait()
        killed.kill()
        await killed.wait()
        async with engine.connect() as connection:
            row = (await connection.execute(select(vendor_grants))).one()
        assert row.lease is not None
        holding.hold = False
        after = await asking(LEASE_S + 5)
        found = json.loads((await after.communicate())[0])
        if when == "before":
            assert accounts.person_of(f"Bearer {found}") == "ada"
            assert (accounts.refreshes, accounts.reused) == (1, 0)
        else:  # the one loss: nobody but the dead process ever had the new pair
            assert found == "NotConnected"
            assert (accounts.refreshes, accounts.reused) == (1, 1)
            assert [one.state for one in await auth.vault.connections("ada")] == ["reconnect"]
    await engine.dispose()


def given(accounts: OAuthEmulator) -> tuple[str, str]:
    """Return the pair that the vendor gave Ada."""
    asked = {"redirect_uri": f"{ISSUER}/connect/callback", "scope": "read_api"}
    _, family, _ = accounts._codes.pop(accounts.grant("ada", asked))
    family.access["first"], family.refresh = float("inf"), "first-refresh"
    accounts._families.append(family)
    return "first", family.refresh
