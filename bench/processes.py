"""What is measured, as processes on loopback ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.running import ROOT, free_port

FASTMCP = "fastmcp[code-mode]==4.1.2"
_PEER = ROOT / "var" / "bench" / "fastmcp"


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


def fastmcp_python() -> Path:
    """Return the interpreter of FastMCP's own environment; installed into var/bench at first use."""
    python = _PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", FASTMCP], check=True)
    return python


@contextlib.contextmanager
def process(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Yield the id of a process that listens on a loopback port, once it does; end it afterwards."""
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
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
    raise RuntimeError("a process of the benchmark did not start")


def memory_mb(pid: int) -> tuple[float, int, float]:
    """Return (megabytes of a portal, number of its sandbox workers, mean megabytes of one): proportional set sizes."""
    own = _pss_mb(pid)
    workers = [
        _pss_mb(child) for child in _children(pid) if (Path("/proc") / str(child) / "comm").read_text() == "monty\n"
    ]
    return own, len(workers), sum(workers) / len(workers) if workers else 0.0


def _children(pid: int) -> list[int]:
    tasks = (Path("/proc") / str(pid) / "task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _pss_mb(pid: int) -> float:
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
