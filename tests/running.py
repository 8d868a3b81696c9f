"""A portal on a loopback port, as a subprocess with its own data: what black-box tests and benchmarks talk to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
PUBLIC = "http://127.0.0.1:1"
"""Where replicas say that they are. Nobody listens there."""


@dataclass(frozen=True, slots=True)
class Running:
    """A portal that answers. ``environment`` makes the command line talk to it."""

    base: str
    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    log: Path

    def command(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``portal …`` against the same data; never raises for its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "portal.cli", *arguments],
            cwd=ROOT,
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def token(self) -> str:
        """Return an access token of the local person."""
        done = self.command("token")
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def sign_in_link(self) -> str:
        """Return the one-time link that the portal printed."""
        found = re.search(r"sign-in: (\S+)", self.log.read_text(encoding="utf-8"))
        if found is None:
            raise RuntimeError("no sign-in link was printed")
        return found.group(1)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def portal(folder: Path, config: str | None = None, **settings: str) -> Iterator[Running]:
    """Yield a running portal whose data stands in ``folder``; ``settings`` become ``PORTAL_*`` variables.

    Raises RuntimeError with the log's end when it does not answer in time.
    """
    port = int(settings.pop("port", free_port()))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_") or k.startswith("PORTAL_TEST_")}
    environment |= {"PORTAL_PORT": str(port), "PORTAL_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    environment |= {f"PORTAL_{name.upper()}": value for name, value in settings.items()}
    if config is not None:
        (folder / "portal.toml").write_text(config, encoding="utf-8")
        environment["PORTAL_CONFIG"] = str(folder / "portal.toml")
    log = folder / "portal.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "portal.cli", "serve"], cwd=ROOT, env=environment, stdout=out, stderr=out, text=True
        )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(base, process, log)
        yield Running(base, process, environment, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def replicas(folder: Path, database: str, config: str, **settings: str) -> Iterator[tuple[Running, Running]]:
    """Yield two portals on the PostgreSQL database of that name: one portal, as behind a load balancer at PUBLIC, with
    each replica asked at its own address. ``settings`` are both's.
    """
    shared = {
        "database_url": f"postgresql+psycopg://postgres@127.0.0.1/{database}",
        "auth__secret": "a secret of the tests, the same on every replica",
        "public_url": PUBLIC,
        "allowed_hosts": '["127.0.0.1:*"]',
    }
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            found.append(stack.enter_context(portal(folder / name, config, **shared | settings)))
        yield found[0], found[1]


def _wait(base: str, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{base}/healthz", trust_env=False).status_code == 200 and "mcp:" in log.read_text():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the portal did not start:\n{log.read_text()[-4000:]}")
