"""What a hostile program would like to reach on this machine: a file, a variable, listening sockets, the portal itself.

Each bait is really there and open to any process outside the jail (test_hostile.py shows it), and each tells whether it
was touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Baits:
    """``values`` are what programs are told, ``secret`` is what none of them may say."""

    values: dict[str, str]
    secret: str
    file: Path
    listeners: tuple[socket.socket, ...]

    def touched(self) -> list[str]:
        """Return what somebody has reached."""
        found = [] if self.file.read_text() == f"secret = '{self.secret}'\n" else ["the file was changed"]
        found += [] if os.environ.get(self.values["variable"]) == self.secret else ["the variable was changed"]
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                found.append(f"somebody connected to {listener.getsockname()!r}")
        return found


@contextlib.contextmanager
def laid() -> Iterator[Baits]:
    """Lay the baits, and take them away."""
    secret = f"bait-secret-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-portal-")))
        folder.chmod(0o755)
        file = folder / "bait.py"
        file.write_text(f"secret = '{secret}'\n")
        file.chmod(0o644)
        # Inheritable, as a library of the portal might leave it.
        opened = os.open(file, os.O_RDONLY)
        os.set_inheritable(opened, True)
        stack.callback(os.close, opened)
        listeners = (socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX))
        abstract = f"mcp-portal-{secrets.token_hex(4)}"
        listeners[1].bind(f"\0{abstract}")
        listeners[1].listen()
        for listener in listeners:
            listener.setblocking(False)
            stack.callback(listener.close)
        variable = f"MCP_PORTAL_BAIT_{secrets.token_hex(4)}"
        os.environ[variable] = secret
        stack.callback(os.environ.pop, variable)
        values = {
            "file": str(file),
            "folder": str(folder),
            "variable": variable,
            "descriptor": str(opened),
            "port": str(listeners[0].getsockname()[1]),
            "abstract": abstract,
            "portal": str(os.getpid()),
        }
        yield Baits(values, secret, file, listeners)
