"""What is measured, as processes on loopback ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.node import Unavailable, installed
from tests.running import ROOT, free_port

FASTMCP = "fastmcp[code-mode]==4.1.2"
EXECUTOR = "executor@1.5.9"
_PEER = ROOT / "var" / "bench" / "fastmcp"


class NotStarted(Exception):
    """A process did not listen in time."""


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Yield the address of the bench upstream."""
    port = free_port()
    with process([sys.executable, "-m", "bench.upstream", str(port)], port):
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def fastmcp(upstream_url: str) -> Iterator[str]:
    """Yield the address of FastMCP's CodeMode in front of ``upstream_url``; installed into var/bench at first use."""
    python = fastmcp_python()
    port = free_port()
    with process([str(python), str(Path(__file__).with_name("peer_fastmcp.py")), str(port), upstream_url], port):
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def executor() -> Iterator[str]:
    """Yield the address of Executor with nothing behind it, its home in var/bench. Raises bench.node.Unavailable."""
    folder = installed("executor", [EXECUTOR])
    port = free_port()
    command = [str(folder / "node_modules" / ".bin" / "executor"), "web", "--port", str(port), "--scope", str(folder)]
    (folder / "home").mkdir(exist_ok=True)
    try:
        with process(command, port, {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}):
            yield f"http://127.0.0.1:{port}/mcp"
    except NotStarted as error:
        raise Unavailable(f"{EXECUTOR}: {error}") from None


def fastmcp_python() -> Path:
    """Return the interpreter of FastMCP's own environment; installed into var/bench at first use."""
    python = _PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", FASTMCP], check=True)
    return python


@contextlib.contextmanager
def process(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Yield the id of a process that listens on a loopback port, once it does; end it afterwards.

    One with an environment of its own is a peer's: what it says is not shown.
    """
    started = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if environment else None,
        env={**os.environ, **(environment or {})},
    )
    try:
        _wait(started, port)
        yield started.pid
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        # A connection and no request: an SDK server holds a GET open for ever.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise NotStarted("a process of the benchmark did not start")


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes. A proportional set size shares what processes have in common out among them; ``alone_mb`` is what a
    sandbox worker shares with nobody.
    """

    portal_mb: float
    workers: int
    worker_mb: float
    alone_mb: float


def memory(pid: int) -> Memory:
    """Return what a portal and its sandbox workers hold."""
    workers = [child for child in _children(pid) if (Path("/proc") / str(child) / "comm").read_text() == "monty\n"]
    pss = [_rollup_mb(worker, "Pss") for worker in workers] or [0.0]
    alone = [_rollup_mb(worker, "Private_Clean", "Private_Dirty") for worker in workers] or [0.0]
    return Memory(_rollup_mb(pid, "Pss"), len(workers), sum(pss) / len(pss), sum(alone) / len(alone))


def resident_mb() -> float:
    """Return the megabytes that this process holds."""
    return _rollup_mb(os.getpid(), "Rss")


def _children(pid: int) -> list[int]:
    tasks = (Path("/proc") / str(pid) / "task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _rollup_mb(pid: int, *fields: str) -> float:
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in fields) / 1024
