"""People's own accounts through real processes: connect in a browser, run a program, refresh once, disconnect."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, GITLAB, OAuthEmulator
from servers._template.emulator import emulator
from shared_auth import opaque
from tests.asking import agent, ask, eventually
from tests.clients.browser import Browser, Page
from tests.running import ROOT, Running, free_port, portal
from tests.upstream.serving import on_port

SECRET = "mps_of-the-notes-server"
OAUTH = f"""
credential = "person"

[upstreams.notes.oauth]
preset = "gitlab"
host = "{{vendor}}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"

[auth.local_person]
groups = ["portal-writers"]
"""
INSIDE = '[upstreams.notes]\nmodule = "servers._template"\nsettings = { url = "{vendor}" }' + OAUTH
OUTSIDE = (
    '[upstreams.notes]\nurl = "{url}"\nauth = "exchange"'
    + OAUTH
    + f"""
[auth.clients.notes-server]
grant_types = ["urn:ietf:params:oauth:grant-type:token-exchange"]
secret_hash = "{opaque.digest(SECRET)}"
server = "notes"
"""
)
PROGRAM = "import notes\n(await notes.add_note(title='t', text='.'))['author']"


@asynccontextmanager
async def vendor() -> AsyncIterator[tuple[OAuthEmulator, str]]:
    accounts = OAuthEmulator(GITLAB)
    async with on_port(emulator(accounts)) as remote:
        yield accounts, remote.url.removesuffix("/mcp")


def connect(running: Running, base: str, person: str) -> Page:
    """Do what a person does, from the sign-in link to their connected account."""
    with Browser() as browser:
        browser.press(browser.open(running.sign_in_link()), "Sign in")
        page = browser.press(browser.open(f"{base}/connect/notes"), "Go to")
        return browser.press(page, f"Allow as {person}")


def disconnect(running: Running) -> Page:
    with Browser() as browser:
        link = running.command("sign-in").stdout.strip()
        browser.press(browser.open(link), "Sign in")
        return browser.press(browser.open(f"{running.base}/connections"), "Disconnect")


async def run(running: Running, token: str) -> str:
    async with agent(running, token) as client:
        return (await ask(client, "execute", code=PROGRAM))[0]


@pytest.mark.requirement("VG-04", "VG-05", "VG-07")
async def test_two_replicas_refresh_one_persons_token_once(tmp_path: Path, postgresql: str) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    shared = {
        "database_url": f"postgresql+psycopg://postgres@127.0.0.1/{postgresql}",
        "auth__secret": "s" * 32,
        "public_url": base,
        "allowed_hosts": '["127.0.0.1:*"]',
    }
    async with vendor() as (accounts, address):
        config = INSIDE.replace("{vendor}", address)

        def started(stack: ExitStack) -> tuple[Running, Running, str]:
            for name in ("one", "two"):
                (tmp_path / name).mkdir()
            one = stack.enter_context(portal(tmp_path / "one", config, port=str(port), **shared))
            two = stack.enter_context(portal(tmp_path / "two", config, **shared))
            return one, two, one.token()

        with ExitStack() as stack:
            one, two, token = await asyncio.to_thread(started, stack)
            found = await asyncio.to_thread(one.command, "search", "add a note")
            hint = f"notes: your account is not connected; open {base}/connect/notes first"
            assert hint in found.stdout
            refused = await run(one, token)
            assert f"Your notes account is not connected: open {base}/connect/notes, then run" in refused
            accounts.change(expires_in=1)  # due at once ...
            page = await asyncio.to_thread(connect, one, base, "grace")
            assert page.url == f"{base}/connections"
            accounts.change(expires_in=7_200)  # ... and after one refresh not for two hours
            texts = await asyncio.gather(*(run(replica, token) for replica in [one, two] * 4))
            assert all("grace" in text for text in texts), texts
            assert (accounts.refreshes, accounts.reused) == (1, 0)

            assert hint not in (await asyncio.to_thread(one.command, "search", "add a note")).stdout
            rotated = await asyncio.to_thread(one.command, "vault", "rotate")
            assert rotated.stdout == "1 vendor grants sealed with a new key\n", rotated.stderr
            assert "grace" in await run(two, token)

            checked = await asyncio.to_thread(one.command, "check")
            assert "notes: each person's own at 127.0.0.1" in checked.stdout
            assert f"{base}/connect/callback: ready" in checked.stdout

            revoked = await asyncio.to_thread(one.command, "revoke", "--subject", "local")
            assert "1 vendor grants revoked" in revoked.stdout
            assert accounts.revoked == 1
            logs = one.log.read_text() + two.log.read_text()
        held = {token for family in accounts._families for token in (*family.access, family.refresh, *family.spent)}
        assert held
        assert not [secret for secret in (*held, CLIENT_SECRET) if secret in logs]


@contextmanager
def serving(url: str, issuer: str, folder: Path, vendor: str) -> Iterator[None]:
    (folder / "notes.toml").write_text(f'url = "{vendor}"\n', encoding="utf-8")
    (folder / "notes.secret").write_text(SECRET, encoding="utf-8")
    command = [sys.executable, "-m", "servers._kit.serve", "servers._template", "--issuer", issuer, "--resource", url]
    command += ["--port", url.rsplit(":", 1)[1].partition("/")[0], "--settings", str(folder / "notes.toml")]
    command += ["--client-id", "notes-server", "--client-secret-file", str(folder / "notes.secret")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

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


@pytest.mark.requirement("VG-02", "VG-04", "VG-09")
async def test_a_server_in_a_process_of_its_own_acts_as_who_calls_it(tmp_path: Path) -> None:
    url, port = f"http://127.0.0.1:{free_port()}/mcp", free_port()
    issuer = f"http://127.0.0.1:{port}"
    async with vendor() as (accounts, address):
        config = OUTSIDE.replace("{vendor}", address).replace("{url}", url)

        def started(stack: ExitStack) -> tuple[Running, str]:
            stack.enter_context(serving(url, issuer, tmp_path, address))
            running = stack.enter_context(portal(tmp_path, config, port=str(port)))
            assert eventually(lambda: "add_note" in running.command("search", "add a note").stdout, 60)
            return running, running.token()

        with ExitStack() as stack:
            running, token = await asyncio.to_thread(started, stack)
            assert f"not connected: open {issuer}/connect/notes, then run" in await run(running, token)
            await asyncio.to_thread(connect, running, issuer, "ada")
            assert "ada" in await run(running, token)
            page = await asyncio.to_thread(disconnect, running)
            assert "confirmed" in page.words
            assert "not connected" in await run(running, token)
            assert accounts.revoked == 1
