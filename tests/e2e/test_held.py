"""A program on CPython waits in its process, through the front door: its page, its progress, and two portals on one
PostgreSQL, one of them killed.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.asking import agent, ask
from tests.e2e.test_pauses import TITLES, browser, config, decide, id_in
from tests.running import PUBLIC, Running, portal, replicas
from tests.sandbox.test_jail import needs_jail
from tests.store.databases import SERVER

ADD = """\
# engine: cpython
import notes
from dataclasses import dataclass

@dataclass
class Wanted:
    title: str

wanted = Wanted({title!r})
n = await notes.add_note(title=wanted.title, text='.')
print('added')
n['title']
"""


async def test_it_goes_on_in_the_portal_that_holds_it_and_nowhere_else(tmp_path: Path, postgresql: str) -> None:
    with replicas(tmp_path, postgresql, config(tmp_path)) as (first, second):
        token = first.token()
        async with agent(first, token) as client, agent(second, token) as other:
            text, failed = await ask(client, "execute", code=ADD.format(title="held"))
            assert not failed, text
            assert "It waits in its process until then" in text
            held = id_in(text)
            lost = id_in((await ask(client, "execute", code=ADD.format(title="lost")))[0])
            with browser(second, PUBLIC) as person:
                assert "It waits in a running process" in person.get(f"/programs/{held}").text
                decide(person, f"/programs/{held}", "allow")
                decide(person, f"/programs/{lost}", "allow")
            text, failed = await ask(other, "execute", resume=held)
            assert failed
            assert "that this request did not reach" in text
            text, failed = await ask(client, "execute", resume=held)
            assert not failed, text
            assert '"held"' in text
            assert "--- printed\nadded" in text
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            text, failed = await ask(other, "execute", resume=lost)
            assert failed
            assert "that this request did not reach" in text
            titles, _ = await ask(other, "execute", code=TITLES)
            assert "lost" not in titles
    with psycopg.connect(f"{SERVER} dbname={postgresql}") as database:
        query = "SELECT outcome FROM audit_programs WHERE source LIKE %s"
        assert database.execute(query, ("%'held'%",)).fetchall() == [("ok",)]
        assert database.execute(query, ("%'lost'%",)).fetchall() == [("paused",)]
        sent = "SELECT count(*) FROM audit_calls WHERE tool = 'add_note' AND outcome = 'ok'"
        assert database.execute(sent).fetchall() == [(1,)]


HOLD_S = 200
TOLD = """\
# engine: cpython
import notes
try:
    said = (await notes.add_note(title={title!r}, text='.'))['title']
except PermissionError as refused:
    said = f'PermissionError: {{refused}}'
said
"""
SLOW = """\
# engine: cpython
import notes, slow
await notes.add_note(title='slow', text='.')
await slow.wait_for(seconds=1)
print('late')
await slow.wait_for(seconds=1)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("portal")
    made = config(folder) + '[upstreams.slow]\nmodule = "tests.upstreams.slow"\n'
    with portal(folder, made, limits__hold_s=str(HOLD_S)) as found:
        yield found


@needs_jail
@pytest.mark.parametrize(
    ("decision", "shown", "answer", "added"),
    [
        ("allow", "You have allowed it", '"page allow"', 1),
        ("refuse", "You have refused it", '"PermissionError: ', 0),
    ],
)
async def test_its_page_says_until_when_it_waits_and_what_is_decided_there_counts(
    running: Running, decision: str, shown: str, answer: str, added: int
) -> None:
    async with agent(running, running.token()) as client:
        before = datetime.now(UTC)
        text, _ = await ask(client, "execute", code=TOLD.format(title=f"page {decision}"))
        after = datetime.now(UTC)
        assert "It waits in its process until then" in text
        path = f"/programs/{id_in(text)}"
        with browser(running) as person:
            page = person.get(path).text
            assert "A program waits for you" in page
            assert "notes.add_note" in page
            assert "Everybody reads it." in page
            assert "It waits in a running process: if the portal restarts before the agent has asked again" in page
            found = re.search(r"it waits until (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", page)
            assert found is not None, page
            until = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
            assert f"alone, until {until:%H:%M} UTC" in text
            held = timedelta(seconds=HOLD_S)
            assert (before + held).replace(second=0, microsecond=0) <= until <= after + held
            assert path in person.get("/programs").text

            decide(person, path, decision)
            page = person.get(path).text
            assert shown in page
            assert found[0] in page  # the agent must still ask again by then
            assert "It waits in a running process" in page
            assert 'name="decision"' not in page
            assert path not in person.get("/programs").text
            text, failed = await ask(client, "execute", resume=id_in(text))
            assert not failed, text
            assert answer in text
            page = person.get(path).text
            assert "It has gone on" in page
            assert "It ended: ok." in page
            assert "running process" not in page
        titles, _ = await ask(client, "execute", code=TITLES)
        assert titles.count(f"page {decision}") == added


@needs_jail
async def test_who_asks_for_progress_only_when_it_goes_on_gets_it(running: Running) -> None:
    told: list[tuple[float, str]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        told.append((progress, message or ""))

    async with agent(running, running.token()) as client:
        text, _ = await ask(client, "execute", code=SLOW)
        with browser(running) as person:
            decide(person, f"/programs/{id_in(text)}", "allow")
        answer = await client.call_tool("execute", {"resume": id_in(text)}, progress_callback=heard)
    assert not answer.is_error
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    said = "\n".join(message for _, message in told)
    assert "1/2 calls · slow.wait_for" in said
    assert "2/3 calls · slow.wait_for" in said
    assert "  | late" in said
