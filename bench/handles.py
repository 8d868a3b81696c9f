"""What a large result costs an agent: one program reads a megabyte, the next one makes a number of it.

Whole, it stays under its handle; of both programs the agent is sent what their replies hold.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.raw import Raw, raw
from bench.subjects import Subject

COUNT = 10_000
TOTAL = sum(i % 1_000 for i in range(COUNT))


@dataclass(frozen=True, slots=True)
class Step:
    """One of the two programs: the bytes of its replies, largest first, and how long each took."""

    reply_bytes: Sequence[int]
    ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class ByHandle:
    """``result_bytes`` is what the first program returned, as JSON."""

    result_bytes: int
    kept: Step
    loaded: Step


async def by_handle(subject: Subject, rounds: int) -> ByHandle:
    """Return what both programs take, ``rounds`` times. Raises RuntimeError when an answer is wrong."""
    kept: list[tuple[int, float]] = []
    loaded: list[tuple[int, float]] = []
    async with raw(subject.url, subject.headers) as client:
        size = int(
            await _said(
                client, subject, f"{subject.imports}import json\nreturn len(json.dumps(await u.rows(count={COUNT})))"
            )
        )
        for _ in range(rounds):
            text, *figures = await _timed(client, subject, f"{subject.imports}return await u.rows(count={COUNT})")
            kept.append((int(figures[0]), figures[1]))
            handle = re.search(r'load\("(r_\w+)"\)', text)
            if handle is None:
                raise RuntimeError(f"no handle: {text[-300:]}")
            text, *figures = await _timed(client, subject, f'return sum(r["value"] for r in load("{handle[1]}"))')
            loaded.append((int(figures[0]), figures[1]))
            if text.splitlines()[1] != str(TOTAL):
                raise RuntimeError(f"a wrong sum: {text[:300]}")
    return ByHandle(size, _step(kept), _step(loaded))


async def _said(client: Raw, subject: Subject, body: str) -> str:
    text, *_ = await _timed(client, subject, body)
    return text.splitlines()[1]


async def _timed(client: Raw, subject: Subject, body: str) -> tuple[str, int, float]:
    """Return a program's text, the bytes of its whole answer, and the milliseconds that it took."""
    code = subject.code(body)
    started = time.perf_counter()
    result = await client.call("execute", {"code": code})
    ms = (time.perf_counter() - started) * 1000
    return result["content"][0]["text"], len(json.dumps(result, separators=(",", ":"))), ms


def _step(rounds: Sequence[tuple[int, float]]) -> Step:
    return Step(sorted((size for size, _ in rounds), reverse=True), [ms for _, ms in rounds])
