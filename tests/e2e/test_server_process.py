"""A server in a process of its own: the portal comes in for whoever asks, an agent's own token does not."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from shared_auth import opaque
from tests.asking import agent, ask, eventually
from tests.running import ROOT, free_port, portal

SECRET = "mps_of-the-build"
CONFIG = """
[auth.local_person]
groups = ["portal-writers"]
email = "ada@example.com"

[auth.clients.build]
grant_types = ["client_credentials"]
secret_hash = "{secret_hash}"
groups = ["portal-writers"]

[upstreams.notes]
url = "{url}"
auth = "exchange"
"""
WRITE = "import notes\n[(await notes.add_note(title='t', text='.'))['author'] for _ in range(5)]"
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@contextmanager
def server(url: str, issuer: str) -> Iterator[None]:
    port = url.rsplit(":", 1)[1].partition("/")[0]
    command = [sys.executable, "-m", "servers._kit.serve", "servers._template"]
    process = subprocess.Popen(
        [*command, "--issuer", issuer, "--resource", url, "--port", port],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            return httpx.get(url.replace("/mcp", "/healthz"), trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        assert eventually(answers)
        yield
    finally:
        process.terminate()
        process.wait(20)


async def test_the_portal_acts_for_whoever_asks_and_nobody_else_comes_in(tmp_path: Path) -> None:
    url, port = f"http://127.0.0.1:{free_port()}/mcp", free_port()
    issuer = f"http://127.0.0.1:{port}"
    config = CONFIG.format(url=url, secret_hash=opaque.digest(SECRET))
    with server(url, issuer), portal(tmp_path, config, port=str(port)) as running:
        person = running.token()
        # The server asks the portal for its keys, so it can be reached only after the portal answers.
        found = await asyncio.to_thread(
            eventually, lambda: "add_note" in running.command("search", "add a note").stdout, 60
        )
        assert found
        explained = running.command("policy", "explain", "notes.add_note", "--subject", "ada")
        assert explained.stdout.startswith("notes.add_note (write) for ada: denied"), explained.stderr
        header = base64.b64encode(f"build:{SECRET}".encode()).decode()
        answer = httpx.post(
            f"{issuer}/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {header}"},
            trust_env=False,
        )
        robot = answer.json()["access_token"]

        async def authors(token: str) -> str:
            async with agent(running, token) as client:
                text, failed = await ask(client, "execute", code=WRITE)
                assert not failed, text
                return text

        # One connection carries both at once: neither may ever act as the other.
        texts = await asyncio.gather(*(authors(token) for token in [person, robot] * 3))
        for number, text in enumerate(texts):
            mine, other = "ada@example.com", "client:build"
            if number % 2:
                mine, other = other, mine
            assert text.count(mine) == 5
            assert other not in text

        for token in (person, robot):
            refused = httpx.post(
                url, json=INITIALIZE, headers={"Authorization": f"Bearer {token}"} | ACCEPT, trust_env=False
            )
            assert refused.status_code == 401
            assert "invalid_token" in refused.headers["www-authenticate"]
        anonymous = httpx.post(url, json=INITIALIZE, headers=ACCEPT, trust_env=False)
        assert anonymous.status_code == 401
        metadata = anonymous.headers["www-authenticate"].partition('resource_metadata="')[2].partition('"')[0]
        document = httpx.get(metadata, trust_env=False).json()
        assert (document["resource"], document["authorization_servers"]) == (url, [issuer])
        foreign = httpx.post(url, json=INITIALIZE, headers=ACCEPT | {"Host": "evil.example"}, trust_env=False)
        assert foreign.status_code == 421
