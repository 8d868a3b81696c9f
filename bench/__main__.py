"""`make bench`: what the portal costs beside a direct call, FastMCP's CodeMode over the same upstream, and Executor.

Everything runs with sign-in, policy, sandbox and audit on, as `make run` ships; the rounds of all subjects are
interleaved, so that a slow moment of the machine meets all of them. Programs differ from round to round: no cache of
ours may answer for work that an agent's new program would cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import search
from bench.door import door
from bench.handles import ByHandle, by_handle
from bench.node import Unavailable
from bench.paused import WORKERS, Waited, paused
from bench.processes import executor, fastmcp, memory, upstream
from bench.raw import raw
from bench.subjects import Subject, called, connected, fresh, of_executor, of_fastmcp, of_portal
from tests.running import Running, portal

ROUNDS = 100
SLOW_ROUNDS = 20
"""Rounds of what takes the peer a second or more."""
LARGE_ROUNDS = 10
"""Rounds of a megabyte."""
UNCOUNTED = 3
TOGETHER = 32
PER_CLIENT = 40
PER_CLIENT_CPYTHON = 10
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

PORTAL, CPYTHON, HTTP, FASTMCP, EXECUTOR = (
    "portal",
    "portal, CPython",
    "portal, upstream by `url`",
    "FastMCP CodeMode",
    "Executor",
)

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of many rounds."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        ordered = sorted(self.values)
        return f"{self.median:.2f} / {ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.2f}"


Row = Mapping[str, Times]


async def interleaved(works: Mapping[str, Work], rounds: int) -> dict[str, Times]:
    """Return how long each work took, their rounds interleaved, after a few rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + UNCOUNTED):
        for name, work in works.items():
            started = time.perf_counter()
            await work()
            if number >= UNCOUNTED:
                taken[name].append((time.perf_counter() - started) * 1000)
    return {name: Times(values) for name, values in taken.items()}


def programs(body: Callable[[Subject], str], subjects: Sequence[Subject]) -> dict[str, Work]:
    """Return for each subject the work of running one program there."""

    def work(subject: Subject) -> Work:
        return lambda: subject.execute(body(subject))

    return {subject.name: work(subject) for subject in subjects}


async def servers_alone(direct_url: str, subjects: Sequence[Subject]) -> dict[str, Times]:
    """Return what a direct call, a listing of tools and `1+1` take, asked by a client that costs nearly nothing."""
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(raw(direct_url, {}))
        listing = await stack.enter_async_context(raw(subjects[0].url, subjects[0].headers))
        works: dict[str, Work] = {
            "direct": lambda: direct.call("add", {"a": fresh(), "b": 1}),
            "listing": listing.list_tools,
        }
        for subject in subjects:
            client = await stack.enter_async_context(raw(subject.url, subject.headers))

            async def execute(client: object = client, subject: Subject = subject) -> None:
                await client.call("execute", {"code": subject.code("return 1+1")})  # type: ignore[attr-defined]

            works[subject.name] = execute
        return await interleaved(works, ROUNDS)


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


async def inside(subject: Subject) -> Times:
    """Return how long the portal says that 100 calls of 5 ms at once took: the program alone, no endpoint."""
    said = [await subject.execute(subject.hundred_that_take_5_ms()) for _ in range(SLOW_ROUNDS)]
    return Times([float(match[1]) for text in said if (match := re.search(r"· (\d+) ms$", text.splitlines()[0]))])


async def measure(direct_url: str, ours: Running, peer_url: str, executor_url: str | None) -> None:
    """Measure and print everything."""
    headers = {"Authorization": f"Bearer {ours.token()}"}
    endpoint = f"{ours.base}/mcp"
    idle = memory(ours.process.pid)
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(connected(direct_url))
        to_portal = await stack.enter_async_context(connected(endpoint, headers))
        module = of_portal(PORTAL, endpoint, headers, to_portal, "bench")
        cpython = of_portal(CPYTHON, endpoint, headers, to_portal, "bench", "cpython")
        http = of_portal(HTTP, endpoint, headers, to_portal, "bench_http")
        peer = of_fastmcp(peer_url, await stack.enter_async_context(connected(peer_url)))
        trivial = [module, cpython, peer]
        if executor_url is not None:
            trivial.append(of_executor(executor_url, await stack.enter_async_context(connected(executor_url))))
        every = [module, cpython, http, peer]

        works: dict[str, Work] = {"direct": lambda: called(direct, "add", {"a": fresh(), "b": 1})}
        one = await interleaved({**works, **programs(lambda _: "return 1+1", trivial)}, ROUNDS)
        base = one.pop("direct")
        writes = [module, cpython, http]
        rows: dict[str, Row] = {
            "execute of 1+1": one,
            "one call (a read)": await interleaved(programs(lambda s: s.one(s.add), every), ROUNDS),
            "one call (a write, type-checked)": await interleaved(programs(lambda s: s.one(s.keep), writes), ROUNDS),
            "ten in sequence": await interleaved(programs(Subject.ten_in_sequence, every), SLOW_ROUNDS),
            "40 at once": await interleaved(programs(Subject.forty_at_once, every), SLOW_ROUNDS),
            "100 at once that take 5 ms": await interleaved(
                programs(Subject.hundred_that_take_5_ms, every), SLOW_ROUNDS
            ),
        }
        _print_rows(base, rows)
        print("\nThe same as a multiple: of the direct call, and of the portal\n")
        _print_ratios(base, rows)
        for subject in (module, cpython):
            print(f"\n100 at once that take 5 ms, inside {subject.name}: {await inside(subject)} ms (p50 / p99)")
        _print_by_handle(await by_handle(module, LARGE_ROUNDS))
        _print_alone(await servers_alone(direct_url, [module, cpython, peer]))
        speeds = {s.name: await per_second(s, n) for s, n in ((module, PER_CLIENT), (cpython, PER_CLIENT_CPYTHON))}
        speeds[peer.name] = await per_second(peer, PEER_PER_CLIENT)
    said = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
    print(f"Executions of 1+1 a second, {TOGETHER} clients at once: {said}")
    print(
        f"Memory when idle: portal {idle.portal_mb:.0f} MB; {idle.workers} Monty workers at {idle.worker_mb:.1f} MB "
        f"each (PSS), of which {idle.alone_mb:.1f} MB are shared with nobody"
    )


def _print_rows(base: Times, rows: Mapping[str, Row]) -> None:
    print(f"\nA direct MCP call to the upstream over loopback HTTP, with the SDK's client: {base} ms (p50 / p99)\n")
    columns = (PORTAL, CPYTHON, HTTP, FASTMCP, EXECUTOR)
    print("| p50 / p99 ms, the SDK's client | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(str(row[column]) if column in row else "" for column in columns) + " |")


def _print_ratios(base: Times, rows: Mapping[str, Row]) -> None:
    print("| medians | portal / direct | portal by `url` / direct | CodeMode / portal | Executor / portal |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        cells = [row[PORTAL].median / base.median, row[HTTP].median / base.median if HTTP in row else None]
        cells += [row[p].median / row[PORTAL].median if p in row else None for p in (FASTMCP, EXECUTOR)]
        print(f"| {name} | " + " | ".join("" if cell is None else f"{cell:.1f}" for cell in cells) + " |")


def _print_alone(alone: Mapping[str, Times]) -> None:
    print("\nServers alone (a client that costs nearly nothing), p50 / p99 ms:")
    for name, times in alone.items():
        above = f", {times.median - alone['listing'].median:.2f} above a listing" if name in {PORTAL, CPYTHON} else ""
        said = {"direct": "direct call", "listing": "the portal lists its tools"}.get(name, f"{name}, execute of 1+1")
        print(f"  {said}: {times}{above}")


def _print_by_handle(found: ByHandle) -> None:
    for name, step in (("returned and kept", found.kept), ("loaded and summed by the next program", found.loaded)):
        print(
            f"A result of {found.result_bytes:,} bytes, {name}: {Times(step.ms)} ms (p50 / p99), "
            f"{step.reply_bytes[0]:,} bytes to the agent at most"
        )


def _print_paused(found: Waited) -> None:
    before, after = found.before, found.after
    print(
        f"{len(found.pause_ms):,} programs paused at once, where {WORKERS} may run: sandbox processes {before.workers} "
        f"before and {after.workers} with them, portal {before.portal_mb:.0f} and {after.portal_mb:.0f} MB (PSS)"
    )
    steps = {
        "until it is paused": found.pause_ms,
        "the page and a yes on it": found.yes_ms,
        "going on to its end": found.resume_ms,
        "1+1 while all wait": found.trivial_ms,
    }
    print("  p50 / p99 ms: " + "; ".join(f"{name} {Times(values)}" for name, values in steps.items()), flush=True)


@contextlib.contextmanager
def _executor() -> Iterator[str | None]:
    """Yield Executor's address; None, with the reason printed, where it cannot run."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(executor())
        except Unavailable as reason:
            print(f"Executor is left out: {reason}")
            url = None
        yield url


def main() -> int:
    """Run the benchmarks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream() as url,
        fastmcp(url) as peer_url,
        _executor() as executor_url,
        portal(Path(folder), CONFIG.format(url=url)) as ours,
    ):
        uvloop.run(measure(url, ours, peer_url, executor_url))
    with tempfile.TemporaryDirectory() as folder:
        passes = uvloop.run(door(Path(folder)))
    said = "; ".join(f"{name} {Times(values)}" for name, values in passes.items())
    print(f"The door, p50 / p99 ms: {said}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _print_paused(uvloop.run(paused(Path(folder))))
    search.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
