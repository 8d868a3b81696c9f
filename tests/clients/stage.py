"""The portal that agents are tried against: as it ships, with one small server, and the witness before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.clients.install import Installed
from tests.clients.witness import Witness, standing_before
from tests.running import ROOT, Running, free_port, portal

CONFIG = """
[upstreams.notes]
module = "servers._template"
summary = "Notes of the team."
"""


ACCESS_TOKEN_S = 60
"""As short as the settings allow: every agent has to renew its login while it is tried."""


class Stage:
    """What every trial stands on. ``token`` is one of `portal token`."""

    def __init__(self, there: Installed, start: Callable[[], Running], witness: Witness) -> None:
        self.there = there
        self.witness = witness
        self._start = start
        self._running = start()
        self._logs = ""
        self.token = self._running.token()

    @property
    def endpoint(self) -> str:
        """The address that agents are given."""
        return f"{self.witness.url}/mcp"

    def sign_in_link(self) -> str:
        """Return a fresh one-time link."""
        return self._running.command("sign-in").stdout.strip()

    def restart(self) -> None:
        """Kill the portal as a power cut would, and start it again on the same data."""
        self._running.process.kill()
        self._running.process.wait()
        self._logs += self._running.log.read_text(encoding="utf-8")
        self._running = self._start()

    def revoke(self) -> None:
        """End everything that the local person agreed to, as an operator does. Raises RuntimeError."""
        done = self._running.command("revoke", "--subject", "local")
        if done.returncode:
            raise RuntimeError(done.stderr)

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
        log = self._logs + self._running.log.read_text(encoding="utf-8")
        return [f"the portal's log has {what}" for what, text in unwanted.items() if text in log]


@contextmanager
def standing(folder: Path, there: Installed) -> Iterator[Stage]:
    """Yield a stage whose portal keeps its data in ``folder``. Raises RuntimeError when something does not start."""
    port, behind = free_port(), free_port()
    with ExitStack() as stack:
        witness = stack.enter_context(standing_before(f"http://127.0.0.1:{behind}", port))

        def start() -> Running:
            started = portal(
                folder,
                CONFIG,
                port=str(behind),
                public_url=f"http://127.0.0.1:{port}",
                # For the question whether it is up, which goes past the witness.
                allowed_hosts=json.dumps([f"127.0.0.1:{behind}"]),
                auth__access_token_s=str(ACCESS_TOKEN_S),
            )
            return stack.enter_context(started)

        yield Stage(there, start, witness)
