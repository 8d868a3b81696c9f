"""Two portals on one PostgreSQL are one portal: a token of either opens both, and both write the same record."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.asking import agent, ask
from tests.running import portal
from tests.store.databases import SERVER

CONFIG = '[upstreams.notes]\nmodule = "servers._template"\n'
SECRET = "a secret of the tests, the same on every replica"


async def test_replicas_share_tokens_and_the_record(tmp_path: Path, postgresql: str) -> None:
    shared = {
        "database_url": f"postgresql+psycopg://postgres@127.0.0.1/{postgresql}",
        "auth__secret": SECRET,
        # One public address, as behind a load balancer; each replica is asked at its own.
        "public_url": "http://127.0.0.1:1",
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    hosts = '["127.0.0.1:*"]'
    with (
        portal(tmp_path / "a", CONFIG, allowed_hosts=hosts, **shared) as first,
        portal(tmp_path / "b", CONFIG, allowed_hosts=hosts, **shared) as second,
    ):
        token = first.token()
        for number, replica in enumerate((first, second)):
            async with agent(replica, token) as client:
                text, failed = await ask(
                    client, "execute", code=f"import notes\n# on replica {number}\n(await notes.list_notes())['items']"
                )
                assert not failed, text
    with psycopg.connect(f"{SERVER} dbname={postgresql}") as database:
        rows = database.execute("SELECT source, outcome FROM audit_programs ORDER BY started_ms").fetchall()
        calls = database.execute("SELECT tool, outcome FROM audit_calls").fetchall()
    assert [(source.splitlines()[1], outcome) for source, outcome in rows] == [
        ("# on replica 0", "ok"),
        ("# on replica 1", "ok"),
    ]
    assert calls == [("list_notes", "ok")] * 2
