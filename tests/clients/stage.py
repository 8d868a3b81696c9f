"""The portal that agents are tried against: as it ships, with one small server, and the witness before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.install import Installed
from tests.clients.witness import Witness, standing_before
from tests.running import ROOT, Running, free_port, portal

CONFIG = """
[upstreams.notes]
module = "servers._template"
summary = "Notes of the team."
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What every trial stands on. ``token`` is one of `portal token`."""

    there: Installed
    running: Running
    witness: Witness
    token: str = field(repr=False)

    @property
    def endpoint(self) -> str:
        """The address that agents are given."""
        return f"{self.witness.url}/mcp"

    def sign_in_link(self) -> str:
        """Return a fresh one-time link."""
        return self.running.command("sign-in").stdout.strip()

    def filled(self, text: str) -> str:
        """Return ``text`` with the endpoint for ``{url}`` and a token for ``{token}``."""
        return text.replace("{url}", self.endpoint).replace("{token}", self.token)

    def environment(self, home: Path) -> dict[str, str]:
        """Return all of an agent's environment: a home of its own, and no way out of this machine."""
        nowhere = "http://127.0.0.1:9"
        return {
            "PATH": f"{self.there.node.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLUMNS": "4000",
            # No agent may open a window on the machine of who runs this.
            "BROWSER": "/bin/false",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1,localhost",
            "DO_NOT_TRACK": "1",
            "PORTAL_TOKEN": self.token,
        }

    def log_faults(self) -> list[str]:
        """Return what must not be in the portal's log after honest agents have used it."""
        unwanted = {
            "a traceback": "Traceback",
            "an error": "[error",
            "an access token": self.token,
            "an authorization code": "mpc_",
            "a refresh token": "mpr_",
        }
        log = self.running.log.read_text(encoding="utf-8")
        return [f"the portal's log has {what}" for what, text in unwanted.items() if text in log]


@contextmanager
def standing(folder: Path, there: Installed) -> Iterator[Stage]:
    """Yield a stage whose portal keeps its data in ``folder``. Raises RuntimeError when something does not start."""
    port, behind = free_port(), free_port()
    with (
        portal(
            folder,
            CONFIG,
            port=str(behind),
            public_url=f"http://127.0.0.1:{port}",
            # For the question whether it is up, which goes past the witness.
            allowed_hosts=json.dumps([f"127.0.0.1:{behind}"]),
        ) as running,
        standing_before(running.base, port) as witness,
    ):
        yield Stage(there, running, witness, running.token())
