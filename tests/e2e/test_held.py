"""A program on CPython waits in its process, through the front door: two portals on one PostgreSQL, one of them killed."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg

from tests.asking import agent, ask
from tests.e2e.test_pauses import TITLES, browser, config, decide, id_in
from tests.running import portal
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
    shared = {
        "database_url": f"postgresql+psycopg://postgres@127.0.0.1/{postgresql}",
        "auth__secret": "a secret of the tests, the same on every replica",
        "public_url": "http://127.0.0.1:1",
        "allowed_hosts": '["127.0.0.1:*"]',
    }
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    with (
        portal(folders[0], config(folders[0]), **shared) as first,
        portal(folders[1], config(folders[1]), **shared) as second,
    ):
        token = first.token()
        async with agent(first, token) as client, agent(second, token) as other:
            text, failed = await ask(client, "execute", code=ADD.format(title="held"))
            assert not failed, text
            assert "It waits in its process until then" in text
            held = id_in(text)
            lost = id_in((await ask(client, "execute", code=ADD.format(title="lost")))[0])
            with browser(second, shared["public_url"]) as person:
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
