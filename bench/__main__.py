"""`make bench`: what the portal costs beside a direct call, and beside FastMCP's CodeMode over the same upstream.

Everything runs with sign-in, policy, sandbox and audit on, as `make run` ships; the rounds of all subjects are
interleaved, so that a slow moment of the machine meets all of them. Programs differ from round to round: no cache of
ours may answer for work that an agent's new program would cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvloop

from bench import search
from bench.processes import fastmcp, memory_mb, upstream
from bench.raw import raw
from bench.subjects import Subject, called, connected, fresh, of_fastmcp, of_portal
from tests.running import Running, portal

ROUNDS = 60
SLOW_ROUNDS = 10
"""Rounds of what takes the peer a second or more."""
TOGETHER = 32
PER_CLIENT = 40
PEER_PER_CLIENT = 3

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

Work = Callable[[], Awaitable[None]]
Row = dict[str, float]


async def medians(works: Mapping[str, Work], rounds: int) -> Row:
    """Return the median milliseconds of each work, their rounds interleaved, after three rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 3):
        for name, work in works.items():
            started = time.perf_counter()
            await work()
            if number >= 3:
                taken[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}


def programs(body: Callable[[Subject], str], subjects: list[Subject]) -> dict[str, Work]:
    """Return for each subject the work of running one program there."""

    def work(subject: Subject) -> Work:
        return lambda: subject.execute(body(subject))

    return {subject.name: work(subject) for subject in subjects}


async def servers_alone(direct_url: str, subjects: list[Subject]) -> Row:
    """Return the median milliseconds of a direct call and of `1+1`, asked by a client that costs nearly nothing."""
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(raw(direct_url, {}))

        async def call_directly() -> None:
            await direct.call("add", {"a": fresh(), "b": 1})

        works: dict[str, Work] = {"direct": call_directly}
        for subject in subjects:
            client = await stack.enter_async_context(raw(subject.url, subject.headers))

            async def execute(client: object = client, subject: Subject = subject) -> None:
                await client.call("execute", {"code": subject.code("return 1+1")})  # type: ignore[attr-defined]

            works[subject.name] = execute
        return await medians(works, ROUNDS)


async def per_second(subject: Subject, each: int) -> float:
    """Return executions of `1+1` a second with TOGETHER clients asking at once, each over its own connection."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(subject.url, subject.headers)) for _ in range(TOGETHER)]

        async def ask_all(times: int) -> None:
            async def ask(number: int) -> None:
                for _ in range(times):
                    await clients[number].call("execute", {"code": subject.code("return 1+1")})

            await asyncio.gather(*(ask(number) for number in range(TOGETHER)))

        await ask_all(1)  # as many workers as it keeps for this many clients
        started = time.perf_counter()
        await ask_all(each)
        return TOGETHER * each / (time.perf_counter() - started)


async def measure(direct_url: str, ours: Running, peer_url: str) -> None:
    """Measure and print everything."""
    headers = {"Authorization": f"Bearer {ours.token()}"}
    endpoint = f"{ours.base}/mcp"
    idle = memory_mb(ours.process.pid)
    async with (
        connected(direct_url) as direct,
        connected(endpoint, headers) as to_portal,
        connected(peer_url) as to_peer,
    ):
        module = of_portal("portal", endpoint, headers, to_portal, "bench")
        http = of_portal("portal, upstream over HTTP", endpoint, headers, to_portal, "bench_http")
        peer = of_fastmcp(peer_url, to_peer)
        every = [module, http, peer]

        async def call_directly() -> None:
            await called(direct, "add", {"a": fresh(), "b": 1})

        trivial = await medians({"direct": call_directly, **programs(lambda _: "return 1+1", [module, peer])}, ROUNDS)
        base = trivial.pop("direct")
        rows: dict[str, Row] = {
            "execute of 1+1": trivial,
            "one call (a read)": await medians(programs(lambda s: s.one(s.add), every), ROUNDS),
            "one call (a write, type-checked)": await medians(programs(lambda s: s.one(s.keep), [module]), ROUNDS),
            "ten in sequence": await medians(programs(Subject.ten_in_sequence, every), SLOW_ROUNDS),
            "40 at once": await medians(programs(Subject.forty_at_once, every), SLOW_ROUNDS),
        }
        alone = await servers_alone(direct_url, [module, peer])
        speed, peer_speed = await per_second(module, PER_CLIENT), await per_second(peer, PEER_PER_CLIENT)
    _print_rows(base, rows)
    print(
        f"\nServers alone (a client that costs nearly nothing): direct call {alone['direct']:.2f} ms, "
        f"execute of 1+1: portal {alone['portal']:.2f} ms ({alone['portal'] / alone['direct']:.1f} x direct), "
        f"FastMCP {alone[peer.name]:.1f} ms ({alone[peer.name] / alone['portal']:.1f} x portal)"
    )
    print(
        f"Executions of 1+1 a second, {TOGETHER} clients at once: portal {speed:.0f}, FastMCP {peer_speed:.0f}, "
        f"ratio {speed / peer_speed:.1f}"
    )
    print(f"Memory when idle: portal {idle[0]:.0f} MB, {idle[1]} sandbox workers at {idle[2]:.1f} MB each (PSS)")


def _print_rows(base: float, rows: Mapping[str, Row]) -> None:
    print(f"\nA direct MCP call to the upstream over loopback HTTP, with the SDK's client: {base:.2f} ms (median)\n")
    print("| median ms, the SDK's client | portal | x direct | url upstream | x direct | FastMCP CodeMode | x portal |")
    print("|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        ours, http, peer = row["portal"], row.get("portal, upstream over HTTP"), row.get("FastMCP CodeMode")
        cells = [f"{ours:.1f}", f"{ours / base:.1f}"]
        cells += [f"{http:.1f}", f"{http / base:.1f}"] if http else ["", ""]
        cells += [f"{peer:.1f}", f"{peer / ours:.1f}"] if peer else ["", ""]
        print(f"| {name} | " + " | ".join(cells) + " |")


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
