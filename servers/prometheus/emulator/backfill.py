"""An hour of history for a Prometheus that has not started yet, so that its first graphs are not empty.

Best effort: what takes too long is given up, and nothing half-written stays.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import structlog

from servers.prometheus.emulator.exposition import history
from servers.prometheus.emulator.source import Target

log = structlog.get_logger(__name__)

HISTORY_S = 3_600
STEP_S = 30
RECENT_S = 60
RECENT_STEP_S = 5
"""The last minute is denser, for windows of half a minute that reach back behind the start."""


async def backfill(
    promtool: str, targets: Sequence[Target], *, folder: Path, tsdb: Path, now_s: float, limit_s: float
) -> bool:
    """Write blocks of history into ``tsdb``; say whether that was done within ``limit_s``."""
    text = folder / "history.om"
    try:
        async with asyncio.timeout(limit_s):
            await asyncio.to_thread(_write, text, targets, now_s)
            done = await _import(promtool, text, tsdb, folder / "promtool.log")
    except TimeoutError:
        done = False
    finally:
        text.unlink(missing_ok=True)
    if not done:
        log.info("prometheus.demo.no_history", reason="promtool failed or took too long")
        await asyncio.to_thread(shutil.rmtree, tsdb, ignore_errors=True)
    return done


def _write(path: Path, targets: Sequence[Target], now_s: float) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(history(targets, moments(int(now_s))))


def moments(now_s: int) -> list[float]:
    """Return when samples are made up: the whole hour until now, ascending."""
    last_s = now_s // STEP_S * STEP_S
    older = range(last_s - HISTORY_S, last_s - RECENT_S, STEP_S)
    recent = range(last_s - RECENT_S, now_s + 1, RECENT_STEP_S)
    return [float(t) for t in (*older, *recent)]


async def _import(promtool: str, text: Path, tsdb: Path, output: Path) -> bool:
    command = (promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(tsdb))
    with output.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env={}
        )
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
