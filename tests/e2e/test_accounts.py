"""People's own accounts through real processes: connect in a browser, run a program, refresh once, disconnect."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from starlette.types import Message, Receive, Scope, Send

from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, GITLAB, OAuthEmulator
from servers._template.emulator import emulator
from shared_auth import opaque
from tests.asking import agent, ask, eventually
from tests.clients.browser import Browser, Page
from tests.running import ROOT, Running, free_port, portal
from tests.store.databases import SERVER
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


@dataclass
class Vendor:
    """GitLab's accounts before the notes of a vendor, and everything that was ever sent there."""

    accounts: OAuthEmulator = field(default_factory=lambda: OAuthEmulator(GITLAB))
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._app = emulator(self.accounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listening() -> Message:
            message = await receive()
            self.sent.append(repr(message))
            return message

        self.sent.append(repr(scope))
        await self._app(scope, listening, send)

    def tokens(self) -> set[str]:
        """Return every token that it has given."""
        families = self.accounts._families
        return {token for family in families for token in (*family.access, family.refresh, *family.spent)}


@asynccontextmanager
async def vendor() -> AsyncIterator[tuple[Vendor, str]]:
    found = Vendor()
    async with on_port(found) as remote:
        yield found, remote.url.removesuffix("/mcp")


def stored(name: str) -> str:
    """Return all that the database holds, as text."""
    with psycopg.connect(f"{SERVER} dbname={name}") as database:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return repr([database.execute(f'SELECT * FROM "{table}"'.encode()).fetchall() for (table,) in tables])


def connect(running: Running, base: str, person: str, wanted: str = "") -> Page:
    """Do what a person does, from the sign-in link to their connected account; ``wanted`` ends the link to it."""
    with Browser() as browser:
        browser.press(browser.open(running.command("sign-in").stdout.strip()), "Sign in")
        page = browser.press(browser.open(f"{base}/connect/notes{wanted}"), "Go to")
        return browser.press(page, f"Allow as {person}")


def disconnect(running: Running) -> Page:
    with Browser() as browser:
        link = running.command("sign-in").stdout.strip()
        browser.press(browser.open(link), "Sign in")
        return browser.press(browser.open(f"{running.base}/connections"), "Disconnect")


async def run(running: Running, token: str, **arguments: str) -> str:
    async with agent(running, token) as client:
        return (await ask(client, "execute", **(arguments or {"code": PROGRAM})))[0]


def waiting(text: str, where: str) -> str:
    """Return the id of the program that waits for its person to connect an account at ``where``."""
    assert text.startswith("paused")
    assert f"connect your notes account at {where}" in text
    found = re.search(r'resume="([0-9a-f]+)"', text)
    assert found is not None, text
    return found[1]


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
    async with vendor() as (there, address):
        accounts = there.accounts
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
            paused = await run(one, token)
            pause_id = waiting(paused, f"{base}/connect/notes")
            accounts.change(expires_in=1)  # due at once ...
            page = await asyncio.to_thread(connect, one, base, "grace")
            assert page.url == f"{base}/connections"
            accounts.change(expires_in=7_200)  # ... and after one refresh not for two hours
            texts = await asyncio.gather(*(run(replica, token) for replica in [one, two] * 4))
            assert all("grace" in text for text in texts), texts
            assert "grace" in await run(two, token, resume=pause_id)
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
            record = await asyncio.to_thread(stored, postgresql)
        assert "add_note" in record
        assert len(there.tokens()) == 3  # the pair, and the refresh token that it was made from
        told = "\n".join((logs, record, *texts, paused, page.words, checked.stdout, revoked.stdout))
        assert not [secret for secret in (*there.tokens(), CLIENT_SECRET) if secret in told]
        assert not [one for one in there.sent if token in one]


@contextmanager
def serving(url: str, issuer: str, folder: Path, vendor: str, module: str = "servers._template") -> Iterator[None]:
    (folder / "notes.toml").write_text(f'url = "{vendor}"\n', encoding="utf-8")
    (folder / "notes.secret").write_text(SECRET, encoding="utf-8")
    command = [sys.executable, "-m", "servers._kit.serve", module, "--issuer", issuer, "--resource", url]
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
    async with vendor() as (there, address):
        accounts = there.accounts
        config = OUTSIDE.replace("{vendor}", address).replace("{url}", url)

        def started(stack: ExitStack) -> tuple[Running, str]:
            stack.enter_context(serving(url, issuer, tmp_path, address))
            running = stack.enter_context(portal(tmp_path, config, port=str(port)))
            assert eventually(lambda: "add_note" in running.command("search", "add a note").stdout, 60)
            return running, running.token()

        with ExitStack() as stack:
            running, token = await asyncio.to_thread(started, stack)
            pause_id = waiting(await run(running, token), f"{issuer}/connect/notes")
            await asyncio.to_thread(connect, running, issuer, "ada")
            assert "ada" in await run(running, token, resume=pause_id)
            assert "ada" in await run(running, token)
            page = await asyncio.to_thread(disconnect, running)
            assert "confirmed" in page.words
            waiting(await run(running, token), f"{issuer}/connect/notes")
            assert accounts.revoked == 1
        assert there.tokens()
        assert not [one for one in there.sent if token in one]


def lacking_api(text: str, base: str) -> str:
    """Return the id of the program that waits for its person to grant ``api``."""
    assert text.startswith("paused")
    found = re.search(r"grant api of your notes account at (\S+)", text)
    assert found is not None, text
    assert found[1] == f"{base}/connect/notes?scope=api"
    resume = re.search(r'resume="([0-9a-f]+)"', text)
    assert resume is not None
    return resume[1]


@pytest.mark.requirement("VG-20")
@pytest.mark.parametrize("own_process", [False, True], ids=["in the portal", "in a process of its own"])
async def test_a_call_that_lacks_a_permission_waits_until_it_is_granted(tmp_path: Path, own_process: bool) -> None:
    url, port = f"http://127.0.0.1:{free_port()}/mcp", free_port()
    base = f"http://127.0.0.1:{port}"
    async with vendor() as (there, address):
        there.accounts.change(write_scope="api")
        config = (OUTSIDE if own_process else INSIDE).replace("{vendor}", address).replace("{url}", url)

        def started(stack: ExitStack) -> tuple[Running, str]:
            if own_process:
                stack.enter_context(serving(url, base, tmp_path, address))
            running = stack.enter_context(portal(tmp_path, config, port=str(port)))
            assert eventually(lambda: "add_note" in running.command("search", "add a note").stdout, 60)
            return running, running.token()

        with ExitStack() as stack:
            running, token = await asyncio.to_thread(started, stack)
            await asyncio.to_thread(connect, running, base, "grace")
            still = await run(running, token, resume=lacking_api(await run(running, token), base))
            again = re.search(r'resume="([0-9a-f]+)"', still)
            assert again is not None, still
            page = await asyncio.to_thread(connect, running, base, "grace", "?scope=api")
            assert "read_api api" in page.words
            assert "grace" in await run(running, token, resume=again[1])
            listed = await run(
                running, token, code="import notes\nsum(n['title'] == 't' for n in (await notes.list_notes())['items'])"
            )
            assert listed.splitlines()[1] == "1"


@pytest.mark.requirement("VG-22")
@pytest.mark.parametrize("own_process", [False, True], ids=["in the portal", "in a process of its own"])
async def test_a_call_that_is_known_to_lack_a_permission_is_never_sent(tmp_path: Path, own_process: bool) -> None:
    """The vendor would let it through: what holds it is what the tool declares and the vault remembers."""
    url, port = f"http://127.0.0.1:{free_port()}/mcp", free_port()
    base = f"http://127.0.0.1:{port}"
    async with vendor() as (there, address):
        config = (OUTSIDE if own_process else INSIDE).replace("{vendor}", address).replace("{url}", url)
        config = config.replace("servers._template", "tests.upstreams.scoped")

        def started(stack: ExitStack) -> tuple[Running, str]:
            if own_process:
                stack.enter_context(serving(url, base, tmp_path, address, "tests.upstreams.scoped"))
            running = stack.enter_context(portal(tmp_path, config, port=str(port)))
            assert eventually(lambda: "add_note" in running.command("search", "add a note").stdout, 60)
            return running, running.token()

        def changes() -> int:
            return sum("'POST'" in one and "/oauth/" not in one for one in there.sent)

        with ExitStack() as stack:
            running, token = await asyncio.to_thread(started, stack)
            await asyncio.to_thread(connect, running, base, "grace")
            count = "import notes\nlen((await notes.list_notes())['items'])"
            before = await run(running, token, code=count)  # takes read_user, which read_api includes
            assert before.startswith("ok"), before
            resume = lacking_api(await run(running, token), base)
            assert changes() == 0
            await asyncio.to_thread(connect, running, base, "grace", "?scope=api")
            assert "grace" in await run(running, token, resume=resume)
            assert changes() == 1
