"""`make bench`: what the portal costs beside a direct call, and beside FastMCP's CodeMode over the same upstream.

Everything runs with sign-in, policy, sandbox and audit on, as `make run` ships; the rounds of all subjects are
interleaved, so that a slow moment of the machine meets all of them. Programs differ from round to round: no cache of
ours may answer for work that an agent's new program would cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvloop
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bench import search
from bench.processes import fastmcp, upstream
from tests.running import Running, portal

ROUNDS = 40
SLOW_ROUNDS = 8
"""Rounds of what takes the peer a second or more."""
TOGETHER = 32
PER_CLIENT = 6

_serial = itertools.count(1)
Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subject:
    """One endpoint under measurement: how it is asked, and how a program calls ``add`` and ``keep`` there."""

    name: str
    client: Client
    url: str
    headers: dict[str, str]
    prelude: str
    add: str
    keep: str

    async def execute(self, body: str) -> None:
        """Run one program. Raises RuntimeError with the answer when it does not succeed."""
        code = f"# {next(_serial)}\n{self.prelude}{body}"
        await _answered(self.client, "execute", {"code": code})

    def program(self, calls: int, *, together: bool, call: str = "add") -> str:
        """Return a program that makes ``calls`` calls, one after the other or all at once."""
        one = self.add if call == "add" else self.keep
        if together:
            return f"import asyncio\nreturn len(await asyncio.gather(*[{one} for i in range({calls})]))"
        return f"got = []\nfor i in range({calls}):\n    got.append(await {one})\nreturn len(got)"


async def _answered(client: Client, tool: str, arguments: dict[str, object]) -> None:
    answer = await client.call_tool(tool, dict(arguments))
    if answer.is_error:
        raise RuntimeError(str(answer.content[0])[:500])


@contextlib.asynccontextmanager
async def connected(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    """Yield an MCP client with a kept connection."""
    async with (
        httpx2.AsyncClient(headers=headers or {}, timeout=120, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as client,
    ):
        yield client


async def medians(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each work, their rounds interleaved, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            started = time.perf_counter()
            await work()
            if number:
                taken[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}


async def per_second(subject: Subject) -> float:
    """Return trivial executions per second with TOGETHER clients asking at once, each over its own connection."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(subject.url, subject.headers)) for _ in range(TOGETHER)]

        async def ask(client: Client) -> None:
            for _ in range(PER_CLIENT):
                await _answered(client, "execute", {"code": f"# {next(_serial)}\nreturn 1+1"})

        await ask(clients[0])
        started = time.perf_counter()
        await asyncio.gather(*(ask(client) for client in clients))
        return TOGETHER * PER_CLIENT / (time.perf_counter() - started)


CONFIG = """
[policy]
write_groups = ["writers"]
[auth.local_person]
groups = ["writers"]
[limits]
programs_per_principal = 64
[budget]
calls_per_minute = 1000000
[upstreams.bench]
module = "bench.upstream"
[upstreams.bench_http]
url = "{url}"
"""


async def measure(direct_url: str, ours: Running, peer_url: str) -> None:
    """Measure and print everything."""
    headers = {"Authorization": f"Bearer {ours.token()}"}
    endpoint = f"{ours.base}/mcp"
    async with (
        connected(direct_url) as direct,
        connected(endpoint, headers) as portal_client,
        connected(peer_url) as peer_client,
    ):

        def of(name: str, module: str) -> Subject:
            prelude = f"import {module} as u\n"
            return Subject(name, portal_client, endpoint, headers, prelude, "u.add(a=i, b=1)", "u.keep(value=i)")

        module = of("portal", "bench")
        http = of("portal, upstream over HTTP", "bench_http")
        peer = Subject(
            "FastMCP CodeMode",
            peer_client,
            peer_url,
            {},
            "",
            *(
                f"call_tool('{name}', {arguments})"
                for name, arguments in (("add", "{'a': i, 'b': 1}"), ("keep", "{'value': i}"))
            ),
        )

        def works(body: Callable[[Subject], str], subjects: list[Subject]) -> dict[str, Work]:
            def work(subject: Subject) -> Work:
                return lambda: subject.execute(body(subject))

            return {subject.name: work(subject) for subject in subjects}

        async def call_directly() -> None:
            await _answered(direct, "add", {"a": next(_serial), "b": 1})

        rows: dict[str, dict[str, float]] = {}
        both, all_three = [module, peer], [module, http, peer]

        def one(s: Subject) -> str:
            return (
                f"i = {next(_serial)}\n"
                + ("r = " if s is peer else "return ")
                + f"await {s.add}"
                + ("\nreturn r" if s is peer else "")
            )

        first = await medians({"direct": call_directly, **works(lambda _s: "return 1+1", both)}, ROUNDS)
        base = first.pop("direct")
        rows["execute 1+1"] = first
        rows["one call (read)"] = await medians(works(one, all_three), ROUNDS)
        rows["one call (write, type-checked first)"] = await medians(
            works(lambda s: f"i = {next(_serial)}\nreturn await {s.keep}", [module]), ROUNDS
        )
        rows["ten in sequence"] = await medians(works(lambda s: s.program(10, together=False), all_three), SLOW_ROUNDS)
        rows["40 at once"] = await medians(works(lambda s: s.program(40, together=True), all_three), SLOW_ROUNDS)
        speeds = {subject.name: await per_second(subject) for subject in both}
    _print(base, rows, speeds)


def _print(base: float, rows: dict[str, dict[str, float]], speeds: dict[str, float]) -> None:
    print(f"\nA direct MCP call to the upstream over loopback HTTP: {base:.2f} ms (median)\n")
    print(
        f"| median ms | {'portal':>8} | x direct | {'url upstream':>12} | x direct | FastMCP CodeMode | peer / portal |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        ours, http, peer = row["portal"], row.get("portal, upstream over HTTP"), row.get("FastMCP CodeMode")
        cells = [
            f"{ours:.1f}",
            f"{ours / base:.1f}",
            f"{http:.1f}" if http else "",
            f"{http / base:.1f}" if http else "",
            f"{peer:.1f}" if peer else "",
            f"{peer / ours:.1f}" if peer else "",
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    ours, peer = speeds["portal"], speeds["FastMCP CodeMode"]
    print(
        f"\nExecutions of 1+1 a second, {TOGETHER} clients at once: portal {ours:.0f}, FastMCP {peer:.0f}, "
        f"ratio {ours / peer:.1f}"
    )


def main() -> int:
    """Run the benchmarks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream() as url,
        fastmcp(url) as peer_url,
        portal(Path(folder), CONFIG.format(url=url)) as ours,
    ):
        uvloop.run(measure(url, ours, peer_url))
    search.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
