"""A person decides, through the front door: two portals on one PostgreSQL, and an agent of either protocol era."""

from __future__ import annotations

import html
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import mcp_types as t
import psycopg
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.asking import agent, ask, eventually
from tests.running import PUBLIC, Running, portal, replicas
from tests.store.databases import SERVER

CONFIG = """
[auth.local_person]
groups = ["portal-writers"]
[upstreams.notes]
module = "servers._template"
[policy]
files = ["{policy}"]
"""
POLICY = '@id("notes-after-a-yes") @ask("Everybody reads it.") permit (principal, action == Action::"write", resource);'
ADD = "import notes\nn = await notes.add_note(title={title!r}, text='.')\nprint('added')\nn['title']"
TITLES = "import notes\n[n['title'] for n in (await notes.list_notes())['items']]"


def config(folder: Path) -> str:
    policy = folder / "asking.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    return CONFIG.format(policy=policy)


@contextmanager
def browser(running: Running, issuer: str = "") -> Iterator[httpx.Client]:
    """Yield a browser in which the local person is signed in."""
    link = urlsplit(running.command("sign-in").stdout.strip())
    headers = {"Origin": issuer or running.base}
    with httpx.Client(base_url=running.base, trust_env=False, headers=headers, timeout=30) as client:
        shown = client.get(f"{link.path}?{link.query}")
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text))
        assert client.post("/sign-in", data=fields).status_code == 303
        yield client


def decide(client: httpx.Client, path: str, decision: str) -> None:
    page = client.get(path).text
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None, page
    answer = client.post(path, data={"form_token": html.unescape(found[1]), "decision": decision})
    assert answer.status_code == 303, answer.text


def id_in(text: str) -> str:
    found = re.search(r'resume="([0-9a-f]+)"', text)
    assert found is not None, text
    return found[1]


@pytest.mark.requirement("RS-72", "RS-74")
async def test_a_program_outlives_the_portal_that_paused_it(tmp_path: Path, postgresql: str) -> None:
    with replicas(tmp_path, postgresql, config(tmp_path)) as (first, second):
        token = first.token()
        async with agent(first, token) as client:
            text, failed = await ask(client, "execute", code=ADD.format(title="outlived"))
        assert not failed, text
        pause_id = id_in(text)
        assert f"http://127.0.0.1:1/programs/{pause_id}" in text
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        with browser(second, PUBLIC) as person:
            assert "outlived" in person.get(f"/programs/{pause_id}").text
            decide(person, f"/programs/{pause_id}", "allow")
        async with agent(second, second.token()) as other:
            text, failed = await ask(other, "execute", resume=pause_id)
            assert failed  # the same person and client, but another sign-in
            assert "no paused program" in text
        async with agent(second, token) as client:
            text, failed = await ask(client, "execute", resume=pause_id)
            assert not failed, text
            assert text.endswith('"outlived"\n--- printed\nadded')
            text, _ = await ask(client, "execute", code=TITLES)
            assert text.count("outlived") == 1
            text, failed = await ask(client, "execute", resume=pause_id)
            assert failed
            assert "never run twice" in text
    with psycopg.connect(f"{SERVER} dbname={postgresql}") as database:
        programs = database.execute("SELECT id, outcome FROM audit_programs WHERE source LIKE '%outlived%'").fetchall()
        query = "SELECT tool, decision, outcome FROM audit_calls WHERE program_id = %s ORDER BY position"
        calls = database.execute(query, (programs[0][0],)).fetchall()
        pauses = database.execute("SELECT state, decided_how, length(snapshot) FROM paused_programs").fetchall()
    assert [outcome for _, outcome in programs] == ["ok"]
    assert calls == [("add_note", "ask", "asked"), ("add_note", "agreed", "ok")]
    assert pauses == [("resumed", "page", 0)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("portal")
    with portal(folder, config(folder)) as found:
        yield found


@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_an_agent_of_either_era_goes_on_by_the_id(running: Running, era: str) -> None:
    async with agent(running, running.token(), era) as client:
        text, _ = await ask(client, "execute", code=ADD.format(title=era))
        pause_id = id_in(text)
        with browser(running) as person:
            decide(person, f"/programs/{pause_id}", "allow")
        text, failed = await ask(client, "execute", resume=pause_id)
        assert not failed
        assert text.endswith(f'"{era}"\n--- printed\nadded')


@pytest.mark.parametrize(("decision", "says"), [("allow", '"elicited allow"'), ("refuse", "refused by the person")])
async def test_a_client_that_shows_pages_needs_no_second_call_of_its_agent(
    running: Running, decision: str, says: str
) -> None:
    shown: list[str] = []

    async def show(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult | t.ErrorData:
        assert isinstance(params, t.ElicitRequestURLParams)
        shown.append(params.message)
        with browser(running) as person:
            decide(person, urlsplit(params.url).path, decision)
        return t.ElicitResult(action="accept")

    headers = {"Authorization": f"Bearer {running.token()}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(
            streamable_http_client(f"{running.base}/mcp", http_client=http),
            cache=None,
            mode="2026-07-28",
            elicitation_callback=show,
        ) as client,
    ):
        text, _ = await ask(client, "execute", code=ADD.format(title=f"elicited {decision}"))
        assert says in text
        titles, _ = await ask(client, "execute", code=TITLES)
    assert titles.count(f"elicited {decision}") == (decision == "allow")
    assert len(shown) == 1
    assert f'notes.add_note(title="elicited {decision}", text="."): Everybody reads it.' in shown[0]


async def test_a_person_who_closes_the_page_has_decided_nothing(running: Running) -> None:
    async def close(context: Any, params: t.ElicitRequestParams) -> t.ElicitResult | t.ErrorData:
        return t.ElicitResult(action="decline")

    headers = {"Authorization": f"Bearer {running.token()}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(
            streamable_http_client(f"{running.base}/mcp", http_client=http),
            cache=None,
            mode="2026-07-28",
            elicitation_callback=close,
        ) as client,
    ):
        text, failed = await ask(client, "execute", code=ADD.format(title="closed"))
    assert not failed
    assert text.startswith("paused")
    with browser(running) as person:
        assert id_in(text) in person.get("/programs").text


@pytest.mark.requirement("RS-73")
async def test_revoking_the_grant_ends_what_waits(running: Running) -> None:
    async with agent(running, running.token()) as client:
        text, _ = await ask(client, "execute", code=ADD.format(title="revoked"))
    assert running.command("revoke", "--client", "portal-cli").returncode == 0
    with browser(running) as person:
        path = f"/programs/{id_in(text)}"
        assert eventually(lambda: "Its access has ended" in person.get(path).text)
        assert path not in person.get("/programs").text
