"""Runs a command in a terminal of its own, as a person would, and guarantees that nothing of it is left afterwards.

Agents draw, prompt and print links only where they see a terminal, so a pipe is not enough. The terminal is very wide:
a link that wraps is no longer a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS, COLUMNS = 50, 4_000
GRACE_S = 3.0
_SPACE = re.compile(r"\x1b\[\d*[CG]")
"""Some agents write a space by moving the cursor."""
_DRAWING = re.compile(
    r"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[78=>]|[\x00\x07\x0f\x1b]"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left: its text without escape codes, and its exit code, None when it had to be stopped."""

    text: str
    code: int | None


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    typed: str = "",
    watch: Callable[[str], bool] = lambda _: False,
) -> Ended:
    """Run ``command`` in ``folder`` with exactly ``environment`` and return how it ended, within ``timeout_s`` or so.

    When ``environment`` has a HOME, no process with that HOME is left: give every command one of its own.
    ``typed`` is written to the terminal at the start. ``watch`` is given the text so far whenever there is more of it;
    when it says True, the command has done what it was started for and is stopped. Raises ValueError for our own HOME.
    """
    if "HOME" in environment and Path(environment["HOME"]) == Path.home():
        raise ValueError("a command needs a home of its own: afterwards everything with its home is ended")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # Its own group, so that helpers that it starts can be ended with it.
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        if typed:
            os.write(ours, typed.encode())
        text = _read(ours, process, time.monotonic() + timeout_s, watch)
        return Ended(text, process.poll())
    finally:
        _end(process)
        _end_strays(environment.get("HOME", ""))
        os.close(ours)


def _read(terminal: int, process: subprocess.Popen[bytes], deadline: float, watch: Callable[[str], bool]) -> str:
    raw = b""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if not ready:
            if process.poll() is not None:
                break
            continue
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux reports the end of a terminal as an input/output error.
            part = b""
        if not part:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            break
        raw += part
        if watch(plain(raw)):
            break
    return plain(raw)


def plain(raw: bytes) -> str:
    """Return what a person reads of ``raw``."""
    return _DRAWING.sub("", _SPACE.sub(" ", raw.decode(errors="replace"))).replace("\r\n", "\n").replace("\r", "\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        # The leader may be gone while something it started is not: the group is what must end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    process.wait()


def _end_strays(home: str) -> None:
    """End what left the group, by the home that it inherited: agents start servers in sessions of their own.

    Not by another variable, since MCP clients hand on few: HOME is one of them. Linux only; elsewhere it finds nothing.
    """
    mark = f"HOME={home}".encode()
    for process in Path("/proc").glob("[0-9]*") if home else ():
        try:
            is_stray = mark in (process / "environ").read_bytes().split(b"\0")
        except OSError:  # It ended meanwhile, or is somebody else's.
            continue
        if is_stray:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
