"""A result that is too long for a reply, through the front door: kept by one replica, read on another after a kill."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mcp_types as t
from mcp import Client

from tests.asking import agent, ask
from tests.running import portal, replicas
from tests.sandbox.test_jail import whole_jail

LONG = 'return [{"name": f"service-{n}", "owner": "team"} for n in range(5_213)]'
NOTE = re.compile(
    r'^\(shows [\d,]+ of 5,213 items; whole for 60 min: load\("(r_\w+)"\) in a program, or (\S+)\)$', re.MULTILINE
)


async def pages(client: Client, uri: str) -> str:
    """Return the whole text of a resource, read page by page."""
    found = ""
    while True:
        page, *more = (await client.read_resource(uri)).contents
        assert isinstance(page, t.TextResourceContents)
        assert len(page.text) <= 24_000
        found += page.text
        if not more:
            return found
        uri = str(more[0].uri)


async def test_what_one_replica_kept_another_reads_after_the_first_was_killed(tmp_path: Path, postgresql: str) -> None:
    whole = [{"name": f"service-{n}", "owner": "team"} for n in range(5_213)]
    with replicas(tmp_path, postgresql, "") as (first, second):
        token = first.token()
        async with agent(first, token) as client:
            text, failed = await ask(client, "execute", code=LONG)
        assert not failed, text
        assert len(text) < 24_300
        first.process.kill()
        first.process.wait()
        note = NOTE.search(text)
        assert note is not None, text[-300:]
        handle, uri = note.groups()
        async with agent(second, token) as client:
            text, failed = await ask(client, "execute", code=f'rows = load("{handle}")\n[len(rows), rows[-1]["name"]]')
            assert (text.split("\n")[1], failed) == ('[5213, "service-5212"]', False)
            assert [str(one.uri) for one in (await client.list_resources()).resources] == [uri]
            assert json.loads(await pages(client, uri)) == whole
        async with agent(second, token, "legacy") as client:
            assert json.loads(await pages(client, uri)) == whole


async def test_five_hundred_calls_at_once_pass_the_whole_way(tmp_path: Path) -> None:
    config = '[upstreams.notes]\nmodule = "servers._template"\n[budget]\nupstream_concurrency = 7\n'
    gathered = (
        "import asyncio, notes\n"
        "found = await asyncio.gather(*[notes.list_notes() for _ in range(500)])\n"
        "len([one for one in found if 'items' in one])"
    )
    with portal(tmp_path, config) as running:
        async with agent(running, running.token()) as client:
            for code in (gathered, f"# engine: cpython\n{gathered}")[: 1 + whole_jail()]:
                text, failed = await ask(client, "execute", code=code)
                assert not failed, text
                assert (text.split(" · ")[1], text.split("\n")[1]) == ("500 calls", "500")
