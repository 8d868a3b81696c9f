"""A program beside ours: on a leash, its output in a file, stopped when its block ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from servers.prometheus.emulator import leash

STOP_S = leash.GRACE_S + 2.0
_PROBE_S = 0.05


class NotStarted(RuntimeError):
    """A program did not come up. The text names it and its log."""


@asynccontextmanager
async def program(
    command: Sequence[str], *, folder: Path, log: Path, ready_url: str, ready_s: float
) -> AsyncIterator[None]:
    """Run a program in ``folder`` until the block ends; entered once ``ready_url`` answers 200.

    Raises NotStarted if it ends, or is not ready within ``ready_s``.
    """
    name = Path(command[0]).name
    with log.open("wb") as output:
        # It gets no environment: whatever secrets are in ours are none of its business.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__, *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={},
            # Ctrl-C in the terminal is for the owner, who then stops this program in order.
            start_new_session=True,
        )
    try:
        if not await _is_ready(process, ready_url, ready_s):
            raise NotStarted(f"{name} did not become ready within {ready_s:g} s; see {log}")
        yield
    finally:
        await _stop(process)


async def _is_ready(process: asyncio.subprocess.Process, url: str, ready_s: float) -> bool:
    try:
        async with asyncio.timeout(ready_s), httpx.AsyncClient(trust_env=False, timeout=ready_s) as http:
            while process.returncode is None:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(url)).status_code == httpx.codes.OK:
                        return True
                await asyncio.sleep(_PROBE_S)
    except TimeoutError:
        pass
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """Return a loopback port that is free now. Another process may take it; the program then fails to start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
