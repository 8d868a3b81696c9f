"""The oracle: a real Backstage catalog backend on a loopback port, fed with the same files as our server.

Packages are installed from the lock file beside this one into ``var/backstage``, once. The backend has its own throw-away
database and asks for a token that lives as long as the process.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.running import ROOT, free_port

HERE = Path(__file__).resolve().parent
PACKAGES = ROOT / "var" / "backstage"
KINDS = ["Component", "API", "Resource", "System", "Domain", "Group", "User", "Location", "Template"]
START_TIMEOUT_S = 120.0
SETTLE_TIMEOUT_S = 180.0
POLL_S = 0.5
STILL_POLLS = 12
"""So many equal looks in a row count as settled: the backend takes up new work about once a second."""


@dataclass(frozen=True, slots=True)
class Backstage:
    """A catalog backend that answers."""

    http: httpx.Client

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of a path below ``/api/catalog``. Raises httpx.HTTPStatusError."""
        return self.http.get(path, params=params).raise_for_status().json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON that a body is answered with. Raises httpx.HTTPStatusError."""
        return self.http.post(path, json=body).raise_for_status().json()

    def entities(self) -> list[dict[str, Any]]:
        """Return every entity, except the Locations that Backstage makes up for its configuration."""
        found: list[dict[str, Any]] = self.get("/entities")
        return [one for one in found if not one["metadata"]["name"].startswith("generated-")]

    def fault(self, entity: Any) -> str | None:
        """Return what Backstage has against a descriptor, None when it takes it."""
        answer = self.http.post("/validate-entity", json={"entity": entity, "location": "url:https://acme.test/x.yaml"})
        if answer.status_code == httpx.codes.OK:
            return None
        if answer.status_code != httpx.codes.BAD_REQUEST:
            answer.raise_for_status()
        return answer.text


@contextmanager
def backstage(locations: Sequence[Path], folder: Path) -> Iterator[Backstage]:
    """Yield a backend that has read ``locations`` and come to rest; its configuration and log stand in ``folder``.

    Raises RuntimeError with the log's end when it does not start or does not come to rest in time.
    """
    install()
    port, token, log = free_port(), secrets.token_urlsafe(24), folder / "backstage.log"
    config = folder / "app-config.json"
    config.write_text(json.dumps(_config(port, token, locations)), encoding="utf-8")
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            ["node", "--no-node-snapshot", "index.js", "--config", str(config)],
            cwd=PACKAGES,
            env=os.environ | {"NODE_ENV": "development"},
            stdout=out,
            stderr=out,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api/catalog",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        ) as http:
            running = Backstage(http)
            _settle(running, process, log)
            yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def install() -> None:
    """Have the packages of the lock file in ``var/backstage``; compiling better-sqlite3 takes minutes the first time."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "index.js", PACKAGES / "index.js")
    wanted = (HERE / "package-lock.json").read_bytes()
    stamp = PACKAGES / "node_modules" / ".installed-from"
    if stamp.exists() and stamp.read_bytes() == wanted:
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, PACKAGES / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=PACKAGES, check=True)
    stamp.write_bytes(wanted)


def _config(port: int, token: str, locations: Sequence[Path]) -> dict[str, Any]:
    return {
        "app": {"baseUrl": f"http://127.0.0.1:{port}"},
        "backend": {
            "baseUrl": f"http://127.0.0.1:{port}",
            "listen": {"host": "127.0.0.1", "port": port},
            "database": {"client": "better-sqlite3", "connection": ":memory:"},
            "auth": {"externalAccess": [{"type": "static", "options": {"token": token, "subject": "compare"}}]},
        },
        "catalog": {
            "rules": [{"allow": KINDS}],
            "locations": [{"type": "file", "target": str(location)} for location in locations],
        },
    }


def _settle(running: Backstage, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the entities have not changed for a while."""
    start = time.monotonic()
    last, still, answered = "", 0, False
    while time.monotonic() - start < (SETTLE_TIMEOUT_S if answered else START_TIMEOUT_S) and process.poll() is None:
        time.sleep(POLL_S)
        try:
            found = running.http.get("/entities")
        except httpx.TransportError:
            continue
        if found.status_code != httpx.codes.OK:
            continue
        answered = True
        still = still + 1 if found.text == last and found.text != "[]" else 0
        last = found.text
        if still >= STILL_POLLS:
            return
    raise RuntimeError(f"Backstage did not come to rest:\n{log.read_text(encoding='utf-8')[-4000:]}")
