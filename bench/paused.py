"""What programs cost that wait for a person: many are paused at once, on a portal that may have four workers at most.

Each is made, and gone on with, as an agent does it; in between a person says yes on the portal's own page.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import memory
from bench.raw import Raw, raw
from bench.subjects import fresh
from tests.clients.browser import Browser
from tests.running import Running, portal

WAITING = 1_000
GONE_ON = 50
WORKERS = 4
REST_S = 10.0

POLICY = '@id("asks") @ask("It is kept for good.") permit (principal, action == Action::"write", resource);'
CONFIG = f"""
[policy]
write_groups = ["writers"]
files = ["{{policy}}"]
[auth.local_person]
groups = ["writers"]
[limits]
paused_per_person = {WAITING}
[sandbox]
engine = "monty"
min_workers = {WORKERS}
max_workers = {WORKERS}
[budget]
calls_per_minute = 1000000
[upstreams.bench]
module = "bench.upstream"
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a portal holds: its workers and its megabytes."""

    workers: int
    portal_mb: float


@dataclass(frozen=True, slots=True)
class Waited:
    """The portal before, and with all of them paused; the milliseconds of every pause, yes and going on; and of a
    program that makes no call, while all wait.
    """

    before: Held
    after: Held
    pause_ms: Sequence[float]
    yes_ms: Sequence[float]
    resume_ms: Sequence[float]
    trivial_ms: Sequence[float]


async def paused(folder: Path) -> Waited:
    """Pause WAITING programs at once, and go on with GONE_ON of them. Raises RuntimeError when one does not wait."""
    policy = folder / "asks.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    with portal(folder, CONFIG.format(policy=policy)) as ours, Browser() as browser:
        browser.press(browser.open(ours.sign_in_link()), "Sign in")
        async with raw(f"{ours.base}/mcp", {"Authorization": f"Bearer {ours.token()}"}) as client:
            before = _held(ours)
            pauses, pause_ms = await _pause(client)
            after = await _at_rest(ours, before.workers)
            trivial_ms = [(await _timed(client, {"code": f"# {fresh()}\nreturn 1+1"}))[1] for _ in range(GONE_ON)]
            yes_ms, resume_ms = [], []
            for pause_id in pauses[:GONE_ON]:
                yes_ms.append(_allowed(browser, f"{ours.base}/programs/{pause_id}"))
                resume_ms.append(await _gone_on(client, pause_id))
    return Waited(before, after, pause_ms, yes_ms, resume_ms, trivial_ms)


def _held(ours: Running) -> Held:
    found = memory(ours.process.pid)
    return Held(found.workers, found.portal_mb)


async def _at_rest(ours: Running, workers: int) -> Held:
    """Return what the portal holds once it has as many workers as before, or never again: for a moment there are more
    or fewer whenever one is replaced.
    """
    deadline = time.monotonic() + REST_S
    while (held := _held(ours)).workers != workers and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return held


async def _pause(client: Raw) -> tuple[list[str], list[float]]:
    pauses, taken = [], []
    for _ in range(WAITING):
        number = fresh()
        text, ms = await _timed(client, {"code": f"import bench as u\nreturn await u.keep(value={number})"})
        waits = re.search(r'resume="([0-9a-f]+)"', text)
        if waits is None:
            raise RuntimeError(f"it does not wait: {text[:300]}")
        pauses.append(waits[1])
        taken.append(ms)
    return pauses, taken


def _allowed(browser: Browser, address: str) -> float:
    """Say yes on the page, and return how long the portal took to show it and to take the answer."""
    started = time.perf_counter()
    browser.press(browser.open(address), "Allow this call")
    return (time.perf_counter() - started) * 1000


async def _gone_on(client: Raw, pause_id: str) -> float:
    text, ms = await _timed(client, {"resume": pause_id})
    if not text.startswith("ok"):
        raise RuntimeError(f"it does not go on: {text[:300]}")
    return ms


async def _timed(client: Raw, arguments: dict[str, str]) -> tuple[str, float]:
    started = time.perf_counter()
    result = await client.call("execute", arguments)
    return result["content"][0]["text"], (time.perf_counter() - started) * 1000
