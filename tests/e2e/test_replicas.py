"""Two portals on one PostgreSQL are one portal: a token of either opens both, and both write the same record."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.asking import agent, ask
from tests.running import replicas
from tests.store.databases import SERVER

CONFIG = '[upstreams.notes]\nmodule = "servers._template"\n'


async def test_replicas_share_tokens_and_the_record(tmp_path: Path, postgresql: str) -> None:
    with replicas(tmp_path, postgresql, CONFIG) as (first, second):
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
