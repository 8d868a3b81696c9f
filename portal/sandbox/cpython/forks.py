"""The portal's side of a zygote: started in its jail, asked for children, started again when it is gone.

Everything here blocks and belongs to one thread, which must live as long as the zygote: the kernel kills it with the
thread that started it, and every child with the zygote.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from threading import Lock
from typing import IO

from portal.sandbox.contract import SandboxUnavailable
from portal.sandbox.jail import Jail

START_TIMEOUT_S = 15.0
_READY = b"ready"
_MAX_ANSWER_BYTES = 64


class Child:
    """A process that the zygote has forked, held by a descriptor: no other process can ever be meant by it."""

    stderr: IO[bytes] | None = None

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle
        self._lock = Lock()
        self._ended = False

    def poll(self) -> int | None:
        """Return None while it runs. How it ended only the zygote could know."""
        with self._lock:
            if not self._ended and select.select([self._handle], [], [], 0)[0]:
                self._end()
            return -1 if self._ended else None

    def kill(self) -> None:
        """Kill it, if it still runs."""
        with self._lock:
            if not self._ended:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end."""
        with self._lock:
            if self._ended:
                return -1
            # One of our own: who sees the end first closes the other, and its number may be another file's by then.
            handle = os.dup(self._handle)
        try:
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            waiting.poll()
        finally:
            os.close(handle)
        self.poll()
        return -1

    def _end(self) -> None:
        self._ended = True
        os.close(self._handle)


class Zygote:
    """Gives children. ``pid`` is that of the process that runs now, None when there is none."""

    def __init__(self, jail: Jail) -> None:
        self._jail = jail
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._process is None else self._process.pid

    def fork(self) -> tuple[Child, socket.socket]:
        """Return a new child and our end of its line. Raises SandboxUnavailable with the launcher's own words."""
        fresh = self._process is None
        try:
            return self._ask(self._running())
        except OSError as error:
            self.close()
            if fresh:
                raise SandboxUnavailable(f"no CPython worker can be started: {error}") from error
        # The zygote was killed since the last child: nothing is known to be wrong with a new one.
        try:
            return self._ask(self._running())
        except OSError as error:
            self.close()
            raise SandboxUnavailable(f"no CPython worker can be started: {error}") from error

    def close(self) -> None:
        """End the zygote, and with it every child."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
        self._control = self._process = None

    def _running(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours; programs travel over other sockets
                self._jail.command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env={},
                close_fds=True,
                cwd="/",
            )
        ours.settimeout(START_TIMEOUT_S)
        if ours.recv(_MAX_ANSWER_BYTES) != _READY:
            raise OSError(self._said() or "it ended before it was ready")
        return ours

    def _ask(self, control: socket.socket) -> tuple[Child, socket.socket]:
        ours, theirs = socket.socketpair()
        handles: list[int] = []
        try:
            with theirs:
                socket.send_fds(control, [b"fork"], [theirs.fileno()])
            answer, handles, _, _ = socket.recv_fds(control, _MAX_ANSWER_BYTES, 1)
            if not answer.isdigit() or len(handles) != 1:
                raise OSError(self._said() or "the zygote has ended")
            return Child(int(answer), handles[0]), ours
        except BaseException:
            ours.close()
            for handle in handles:
                os.close(handle)
            raise

    def _said(self) -> str:
        process = self._process
        if process is None or process.stderr is None:
            return ""
        process.kill()
        return process.stderr.read(2_000).decode("utf-8", "replace").strip()[-300:]
