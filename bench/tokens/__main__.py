"""Run every task every way, check each end state, and print what it cost.

``python -m bench.tokens [PART OF A TASK'S NAME]``
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.node import Unavailable
from bench.processes import fastmcp_python, process
from bench.subjects import connected
from bench.tokens import agents, world
from bench.tokens.agents import Done, Endpoint, NotFound, Way
from bench.tokens.conversation import Cost, costs, tokens
from bench.tokens.tasks import TASKS, Task
from bench.tokens.truth import Truth
from tests.running import free_port, portal

PEER = Path(__file__).with_name("peer.py")
START_TIMEOUT_S = 90.0

ALL = "every tool listed"
PORTAL = "portal"
CODE = "FastMCP CodeMode"
WAYS: dict[str, tuple[str, Callable[[Endpoint], Way]]] = {
    ALL: ("", agents.AllListed),
    "FastMCP search and call": ("search", agents.SearchAndCall),
    CODE: ("code", agents.CodeMode),
    "FastMCP CodeMode, 10 hits": ("code10", agents.CodeMode),
    PORTAL: ("portal", agents.Portal),
}


def main() -> int:
    """Return 0 when every task that a way finished ended right, and the portal finished all."""
    chosen = [task for task in TASKS if all(word in task.name for word in sys.argv[1:])]
    sizes = [False, True] if world.padding() else [False]
    if len(sizes) == 1:
        print("development set absent: not measured with its 527 tools beside")
    try:
        tokens(["one"])
    except Unavailable as reason:
        print(f"bench-tokens: skipped: {reason}")
        return 0
    wrong = 0
    for padded in sizes:
        results: dict[str, dict[str, Done | str]] = {}
        count = 0
        for name, (kind, way) in WAYS.items():
            with running_world(padded=padded) as (base, truth, state):
                count = state["tools"]
                results[name] = asyncio.run(worked(base, truth, state, kind, way, chosen))
                print(f"{name}, {count} tools: done", file=sys.stderr, flush=True)
        wrong += report(count, chosen, results)
    return 1 if wrong else 0


async def worked(
    base: str, truth: Truth, state: Mapping[str, Any], kind: str, way: Callable[[Endpoint], Way], tasks: Sequence[Task]
) -> dict[str, Done | str]:
    """Return what became of each task: done, or why not."""
    found: dict[str, Done | str] = {}
    async with connected(f"{base}/all/mcp") as direct, _front(base, state, kind) as client:
        everything = await agents.listing(direct)
        worker = way(await agents.endpoint(client or direct, everything))
        for task in tasks:
            try:
                done = await worker.work(task)
                right = await asyncio.to_thread(task.right, done.answer, truth)
                found[task.name] = done if right else f"wrong: {json.dumps(done.answer)[:300]}"
            except NotFound as reason:
                found[task.name] = f"not found: {reason}"
    return found


@contextlib.asynccontextmanager
async def _front(base: str, state: Mapping[str, Any], kind: str) -> AsyncIterator[Any]:
    """Yield a client of what stands in front of the servers; None for nothing."""
    if not kind:
        yield None
        return
    with contextlib.ExitStack() as stack:
        headers: dict[str, str] = {}
        if kind == "portal":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ours = stack.enter_context(portal(folder, _config(base, state["servers"])))
            url, headers = f"{ours.base}/mcp", {"Authorization": f"Bearer {ours.token()}"}
        else:
            port = free_port()
            command = [str(fastmcp_python()), str(PEER), str(port), f"{base}/all/mcp", kind]
            stack.enter_context(process(command, port))
            url = f"http://127.0.0.1:{port}/mcp"
        async with connected(url, headers) as client:
            yield client


def _config(base: str, servers: Sequence[str]) -> str:
    """Return a portal's settings: as shipped, with every server where the others reach it too."""
    summaries = {name: found["summary"] for name, found in world.configured(Path()).items()}
    lines = ["[auth.local_person]", 'groups = ["portal-writers"]']
    for name in servers:
        lines += [f"[upstreams.{name}]", f'url = "{base}/{name}/mcp"']
        lines += [f"summary = {json.dumps(summaries[name])}"] if name in summaries else []
    return "\n".join(lines)


@contextlib.contextmanager
def running_world(*, padded: bool) -> Iterator[tuple[str, Truth, dict[str, Any]]]:
    """Yield (address, truth, what the world says of itself); a new company each time, so that writes do not add up."""
    folder = Path(tempfile.mkdtemp())
    try:
        world.prepare(folder)
        port = free_port()
        command = [sys.executable, "-m", "bench.tokens.world", str(port), str(folder), *(["padded"] if padded else [])]
        with process(command, port):
            state = _when_written(folder / "world.json")
            yield f"http://127.0.0.1:{port}", Truth(folder, state["url"], state["alertmanager_url"]), state
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _when_written(path: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
        time.sleep(0.05)
    raise RuntimeError("the servers did not start")


def report(count: int, tasks: Sequence[Task], results: Mapping[str, Mapping[str, Done | str]]) -> int:
    """Print one catalogue's tables; return how many tasks ended wrong, or were not finished by the portal."""
    wrong = 0
    spent: dict[str, dict[str, Cost]] = {}
    for name, found in results.items():
        done = {task: each for task, each in found.items() if isinstance(each, Done)}
        spent[name] = dict(zip(done, costs(each.conversation for each in done.values()), strict=True))
        for title, why in found.items():
            if isinstance(why, str):
                print(f"{name}: {title}: {why}")
                wrong += why.startswith("wrong") or name == PORTAL
    print(f"\n{count} tools, {len(tasks)} tasks: o200k tokens, medians over tasks\n")
    print("| way | finished | own search found all | requests | without results | peak | input of all requests |")
    print("|---|---|---|---|---|---|---|")
    for name, found in results.items():
        finished = [each for each in found.values() if isinstance(each, Done)]
        values = list(spent[name].values())
        middle = [f"{statistics.median(getattr(v, f) for v in values):,.0f}" for f in _FIELDS] if values else ["-"] * 4
        seen = "-" if name == ALL else f"{sum(each.found for each in finished)}/{len(tasks)}"
        print(f"| {name} | {len(finished)}/{len(tasks)} | {seen} | " + " | ".join(middle) + " |")
    print(f"\nthe portal's share of the same task's tokens elsewhere, {count} tools: median [worst task]\n")
    print("| beside | without results | peak | input of all requests |")
    print("|---|---|---|---|")
    for name, other in spent.items():
        if name != PORTAL:
            cells = [_share(spent[PORTAL], other, field) for field in _FIELDS[1:]]
            print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\npeak by task, {count} tools\n\n| task | " + " | ".join(spent) + " |\n|---|" + "---|" * len(spent))
    for task in tasks:
        row = [f"{each[task.name].peak:,}" if task.name in each else "-" for each in spent.values()]
        print(f"| {task.name} | " + " | ".join(row) + " |")
    return wrong


_FIELDS = ("requests", "bare", "peak", "input")


def _share(ours: Mapping[str, Cost], other: Mapping[str, Cost], field: str) -> str:
    shares = [getattr(ours[task], field) / getattr(other[task], field) for task in ours if task in other]
    return f"{statistics.median(shares):.3f} [{max(shares):.3f}]" if shares else "-"


if __name__ == "__main__":
    sys.exit(main())
