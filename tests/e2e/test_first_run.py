"""What a new user does: start it, connect, use it, stop it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import asking
from tests.asking import agent
from tests.running import Running, portal

CONFIG = """
[auth.local_person]
groups = ["portal-writers"]
[upstreams.notes]
module = "servers._template"
summary = "Notes of the team."
[upstreams.broken]
url = "http://127.0.0.1:1/mcp"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with portal(tmp_path_factory.mktemp("portal"), CONFIG) as found:
        yield found


@pytest.fixture(scope="module")
def token(running: Running) -> str:
    return running.token()


async def ask(running: Running, token: str, tool: str, mode: str = "auto", **arguments: object) -> tuple[str, bool]:
    async with agent(running, token, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["search", "execute"]
        return await asking.ask(client, tool, **arguments)


def test_the_banner_tells_how_to_connect(running: Running) -> None:
    text = running.log.read_text(encoding="utf-8")
    assert f"mcp: {running.base}/mcp\n" in text
    assert "sign-in: http://127.0.0.1:" in text
    for name in ("Claude Code:", "opencode:", "codex:", "mcpServers JSON:"):
        assert name in text
    config = next(line for line in text.splitlines() if line.strip().startswith('{"mcpServers"'))
    assert json.loads(config)["mcpServers"]["portal"]["url"] == f"{running.base}/mcp"


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_program_runs_in_both_protocol_eras(running: Running, token: str, mode: str) -> None:
    text, failed = await ask(running, token, "execute", mode, code="import notes\n(await notes.list_notes())['total']")
    assert not failed, text
    assert text.splitlines()[1] == "null"


async def test_a_write_is_permitted_to_the_groups_that_settings_name(running: Running, token: str) -> None:
    code = "import notes\n(await notes.add_note(title='Hello', text='World'))['author']"
    text, failed = await ask(running, token, "execute", code=code)
    assert not failed, text
    assert '"developer@localhost"' in text


async def test_search_answers_stubs_and_names_the_server_that_is_down(running: Running, token: str) -> None:
    text, failed = await ask(running, token, "search", queries=["find notes by title"])
    assert not failed
    assert "import notes" in text
    assert "def list_notes(" in text
    assert "broken" in text


async def test_a_wrong_argument_of_a_write_costs_nothing(running: Running, token: str) -> None:
    code = "import notes\nfor i in range(3):\n    await notes.add_note(title='x', text=1)"
    text, failed = await ask(running, token, "execute", code=code)
    assert failed
    assert "line 3" in text
    assert "nothing ran" in text


async def test_a_failure_has_a_traceback_and_lists_the_calls_made(running: Running, token: str) -> None:
    code = "import notes\nfound = await notes.list_notes()\nfound['items'][99]"
    text, failed = await ask(running, token, "execute", code=code)
    assert failed
    assert "IndexError" in text
    assert "line 3" in text
    assert "notes.list_notes" in text


def test_without_a_token_the_endpoint_says_where_to_get_one(running: Running) -> None:
    answer = httpx.post(f"{running.base}/mcp", json={}, trust_env=False)
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert f'resource_metadata="{running.base}/.well-known/oauth-protected-resource/mcp"' in challenge
    assert "error=" not in challenge


def test_foreign_hosts_and_origins_are_refused(running: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    for extra, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
        assert (
            httpx.post(f"{running.base}/mcp", json={}, headers=headers | extra, trust_env=False).status_code == status
        )


def test_a_held_open_get_is_not_possible(running: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    answer = httpx.get(f"{running.base}/mcp", headers=headers, trust_env=False)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_a_giant_body_is_refused(running: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"x" * 1_000_000 + b'"}}'
    answer = httpx.post(
        f"{running.base}/mcp", content=body, headers=headers | {"Content-Type": "application/json"}, trust_env=False
    )
    assert answer.status_code == 413


def test_the_sign_in_link_leads_to_the_home_page(running: Running) -> None:
    link = running.command("sign-in").stdout.strip()
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(f"{running.base}/").status_code == 401
        page = sign_in(browser, link)
        assert "Connect your agent" in page
        assert "notes" in page


def sign_in(browser: httpx.Client, link: str) -> str:
    """Do what a person does with the link: open it, press the button; return the page that it leads to."""
    shown = browser.get(link)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text))
    assert fields
    return browser.post(f"{shown.url.scheme}://{shown.url.netloc.decode()}/sign-in", data=fields).text


def test_the_command_line_goes_through_the_running_portal(running: Running, tmp_path: Path) -> None:
    assert "notes" in running.command("search").stdout
    file = tmp_path / "program.py"
    file.write_text("import notes\nlen((await notes.list_notes())['items'])")
    done = running.command("run", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok · 1 call")
    assert running.command("run", "-", stdin="1/0").returncode == 1


def test_a_mistake_in_the_settings_is_one_line_and_exit_code_2(running: Running) -> None:
    environment = {**running.environment, "PORTAL_LIMITS__WALL_X": "1"}
    done = Running(running.base, running.process, environment, running.log).command("check")
    assert done.returncode == 2
    assert done.stderr.startswith("portal: settings: limits.wall_x")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with portal(tmp_path, '[upstreams.notes]\nmodule = "servers._template"\n') as running:
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.log.read_text(encoding="utf-8")
