"""Many people log an agent in at the same moment: ``python -m tests.load.logins [HOW_MANY]`` (``make load``).

Each registers a client or uses a declared one, says yes, signs in at the company's provider, redeems the code and runs a
program: all over HTTP, against `portal serve`, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import re
import secrets
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.load.provider import CLIENT_ID, SECRET, Provider, serving
from tests.running import Running, portal

HOW_MANY = 500
CALLBACK = "http://127.0.0.1:5999/callback"
TIMEOUT_S = 120.0
UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is https; without it every client would load the system's certificates."""


def config(provider: Provider, how_many: int) -> str:
    """Return the portal's settings for ``how_many`` logins from one address."""
    return f"""
[auth]
registrations_per_address = {how_many}

[auth.oidc]
issuer = "{provider.issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{SECRET}"

[auth.clients.desk]
grant_types = ["authorization_code", "refresh_token"]
redirect_uris = ["{CALLBACK}"]
"""


def shared(name: str) -> dict[str, str]:
    """Return the settings of a portal whose database is the PostgreSQL database ``name``."""
    return {"database_url": f"postgresql+psycopg://postgres@127.0.0.1/{name}", "auth__secret": "s" * 32}


class Agent:
    """One person's agent and browser, with connections and cookies of its own. An async context manager."""

    def __init__(self, portal_url: str, person: str) -> None:
        self._url = portal_url
        # Its own connections: one pool for all takes longer to choose from than the portal to answer.
        self._http = httpx.AsyncClient(trust_env=False, verify=UNUSED, timeout=TIMEOUT_S, headers={"X-Person": person})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def log_in(self, client_id: str | None) -> str:
        """Return an access token, got through the whole flow. Registers a client when none is given."""
        client_id = client_id or await self._register()
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(8)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": f"{self._url}/mcp",
        }
        question = self._is(200, await self._http.get(f"{self._url}/authorize", params=asked))
        consent = re.search(r'name="consent" value="([^"]+)"', question.text)
        assert consent, question.text
        form = {"consent": html.unescape(consent.group(1)), "decision": "allow"}
        told = await self._http.post(f"{self._url}/consent", data=form, headers={"Origin": self._url})
        while not self._is(303, told).headers["location"].startswith(CALLBACK):
            told = await self._http.get(told.headers["location"])
        answer = parse_qs(urlsplit(told.headers["location"]).query)
        assert answer["state"] == [state]
        redeemed = {
            "grant_type": "authorization_code",
            "code": answer["code"][0],
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        tokens = self._is(200, await self._http.post(f"{self._url}/token", data=redeemed))
        return str(tokens.json()["access_token"])

    async def execute(self, token: str, code: str) -> str:
        """Return what the agent reads."""
        call = {"name": "execute", "arguments": {"code": code}}
        answer = await self._http.post(
            f"{self._url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2025-11-25",
            },
        )
        return self._is(200, answer).text

    async def _register(self) -> str:
        metadata = {
            "client_name": "Agent",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
        return str(self._is(201, await self._http.post(f"{self._url}/register", json=metadata)).json()["client_id"])

    @staticmethod
    def _is(status: int, answer: httpx.Response) -> httpx.Response:
        if answer.status_code != status:
            raise AssertionError(f"{answer.request.method} {answer.url.path}: {answer.status_code} {answer.text[:300]}")
        return answer


@asynccontextmanager
async def stage(folder: Path, how_many: int, **settings: str) -> AsyncIterator[Running]:
    """Yield a portal with its provider."""
    async with serving() as provider:
        standing = portal(folder, config(provider, how_many), **settings)
        running = await asyncio.to_thread(standing.__enter__)
        try:
            yield running
        finally:
            await asyncio.to_thread(standing.__exit__, None, None, None)


async def log_in_all(running: Running, how_many: int) -> list[str]:
    """Log ``how_many`` people in at once and return what went wrong, [] when nothing did."""
    begun = asyncio.Barrier(how_many)

    async def one(number: int) -> None:
        async with Agent(running.base, f"person-{number}") as agent:
            await begun.wait()
            token = await agent.log_in("desk" if number % 2 else None)
            answer = await agent.execute(token, "6*7")
            assert "42" in answer, answer

    done = await asyncio.gather(*map(one, range(how_many)), return_exceptions=True)
    return [f"{type(failed).__name__}: {failed}" for failed in done if isinstance(failed, BaseException)]


def main(how_many: int) -> int:
    """Return 0 when every login works on every database that answers, 1 when one does not."""
    from tests.store.databases import temporary_postgresql

    failures = 0
    with temporary_postgresql() as name:
        databases = {"SQLite": {}, "PostgreSQL": shared(name)}
        for database, settings in databases.items():
            with tempfile.TemporaryDirectory() as folder:
                failures += asyncio.run(_measured(database, Path(folder), how_many, settings))
    return 1 if failures else 0


async def _measured(database: str, folder: Path, how_many: int, settings: dict[str, str]) -> int:
    async with stage(folder, how_many, **settings) as running:
        started = time.perf_counter()
        failures = await log_in_all(running, how_many)
        took_s = time.perf_counter() - started
    print(f"{database}: {how_many - len(failures)} of {how_many} logins at once in {took_s:.1f} s")
    for failure in failures[:5]:
        print(f"  {failure}")
    return len(failures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else HOW_MANY))
