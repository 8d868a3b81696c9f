"""One worker process: started in its jail, spoken to in frames of bounded size, killed at will.

A worker is reached over one socket pair. It inherits nothing else, and its environment is empty. Whoever holds a worker
is the only one to talk to it; after any doubt about it, it is killed and never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import IO, Any, Protocol

from portal.sandbox.contract import SandboxUnavailable
from portal.sandbox.events import Event, Kind, event
from portal.sandbox.requests import RESET, configure, feed
from portal.sandbox.wire import ProtocolError

START_TIMEOUT_S = 15.0
_HEADER = struct.Struct("<I")
_READ_AHEAD_BYTES = 262_144
_SMALL_FRAME_BYTES = 65_536
_WARM_UP = configure(cpu_s=5.0, memory_bytes=32 * 1024 * 1024, recursion=100, suspensions=10)


class WorkerDied(Exception):
    """The worker ended before it answered. ``reason`` is what is known of why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FrameTooLarge(Exception):
    """The worker announced a frame over the limit. It was not read."""

    def __init__(self, kind: int) -> None:
        super().__init__("frame too large")
        self.kind = kind


class _Line(asyncio.StreamReaderProtocol):
    """The line to a worker; tells when its other end is gone, which a StreamReader tells only to who reads."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.gone = False
        self.when_gone: Callable[[], None] | None = None

    def eof_received(self) -> bool | None:
        self._tell()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell()
        super().connection_lost(exc)

    def _tell(self) -> None:
        self.gone = True
        if self.when_gone is not None:
            self.when_gone()
            self.when_gone = None


class Process(Protocol):
    """The process of a worker, as far as a worker minds: a Popen, or a grandchild (cpython/forks.py)."""

    @property
    def stderr(self) -> IO[bytes] | None: ...
    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


class Worker:
    """One process. ``uses`` counts the programs it has served; ``session`` is free for its holder to remember by."""

    __slots__ = ("_line", "_process", "_reader", "_writer", "idle_since_s", "session", "uses")

    def __init__(
        self, process: Process, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._line = line
        self._reader = reader
        self._writer = writer
        self.uses = 0
        self.idle_since_s = 0.0
        self.session: Any = None

    @classmethod
    async def start(cls, command: Sequence[str], executor: Executor, *, launcher: bool) -> Worker:
        """Start a process and prove that it answers. Raises SandboxUnavailable with the launcher's own words.

        ``launcher`` means that the command's error output is our launcher's until it has become the worker.
        ``executor``'s threads must outlive the worker: the kernel kills it with the thread that started it. Must not be
        cancelled (Pool shields it): the process would be left behind.
        """
        loop = asyncio.get_running_loop()
        try:
            process, ours = await loop.run_in_executor(executor, _spawn, command, launcher)
        except OSError as error:
            raise SandboxUnavailable(f"no sandbox worker can be started: {error}") from error
        worker = await cls.attach(process, ours)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await worker.warm_up()
        except (WorkerDied, ProtocolError, FrameTooLarge, TimeoutError) as error:
            reason = await worker.close()
            raise SandboxUnavailable(f"a sandbox worker did not start: {reason or error!r}") from error
        except BaseException:
            await worker.close()
            raise
        if process.stderr is not None:
            process.stderr.close()
        return worker

    @classmethod
    async def attach(cls, process: Process, ours: socket.socket) -> Worker:
        """Return the worker that ``process`` is, at the other end of ``ours``, which is the worker's from now on."""
        loop = asyncio.get_running_loop()
        ours.setblocking(False)
        reader = asyncio.StreamReader(limit=_READ_AHEAD_BYTES, loop=loop)
        line = _Line(reader, loop)
        transport, _ = await loop.create_connection(lambda: line, sock=ours)
        return cls(process, line, reader, asyncio.StreamWriter(transport, line, reader, loop))

    @property
    def alive(self) -> bool:
        """Whether the process still runs and may be used."""
        return self._process.poll() is None and not self._reader.at_eof() and not self._writer.is_closing()

    @contextlib.contextmanager
    def watched(self, when_gone: Callable[[], None]) -> Iterator[None]:
        """Call ``when_gone`` once if the worker goes within the block, at once if it is gone already."""
        if self._line.gone:
            when_gone()
        else:
            self._line.when_gone = when_gone
        try:
            yield
        finally:
            self._line.when_gone = None

    async def warm_up(self) -> None:
        """Run nothing once, so that the first program finds every page in memory."""
        await self.ask(_WARM_UP)
        await self.ask(feed("None"))
        await self.ask(RESET)

    async def reset(self) -> bool:
        """Forget the program that has ended; say whether the worker may serve again."""
        try:
            return (await self.ask(RESET)).kind is Kind.OK
        except (WorkerDied, FrameTooLarge, ProtocolError):
            return False

    async def ask(self, request: bytes, max_bytes: int = _SMALL_FRAME_BYTES) -> Event:
        """Send a request and return the event that answers it.

        Raises WorkerDied, FrameTooLarge, ProtocolError. Prints before the event are a protocol error here.
        """
        self.send(request)
        return await self.receive(max_bytes)

    def send(self, *requests: bytes) -> None:
        """Send requests in one write. Never waits: a worker reads them whole before it goes on.

        Raises ProtocolError when it went on without reading: else what it does not read would fill our memory.
        """
        if self._writer.transport.get_write_buffer_size():
            raise ProtocolError("a worker that answers what it has not read")
        self._writer.write(b"".join([part for request in requests for part in (_HEADER.pack(len(request)), request)]))

    async def receive(self, max_bytes: int) -> Event:
        """Return the next event. Raises WorkerDied, FrameTooLarge, ProtocolError."""
        try:
            (size,) = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
            if size > max_bytes:
                raise FrameTooLarge((await self._reader.readexactly(1))[0] >> 3)
            found = event(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerDied("the worker process died") from None
        if found.kind is Kind.FATAL:
            raise WorkerDied("the worker gave up")
        return found

    def kill(self) -> None:
        """Kill the process at once. Safe to repeat."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> str:
        """Kill the process and wait for its end. Return what its launcher said on its way, if it never started."""
        self.kill()
        # Not the writer's own close: who was cancelled while waiting for it could never wait for it again.
        self._writer.transport.abort()
        return await asyncio.get_running_loop().run_in_executor(None, self._reap)

    def rest(self) -> None:
        """Note that the worker is idle from now."""
        self.uses += 1
        self.idle_since_s = time.monotonic()

    def exit_status(self) -> int | None:
        """How the process ended: negative for a signal, None while it runs."""
        return self._process.poll()

    def _reap(self) -> str:
        self._process.wait()
        said = b""
        if self._process.stderr is not None and not self._process.stderr.closed:
            said = self._process.stderr.read(2_000)
            self._process.stderr.close()
        return said.decode("utf-8", "replace").strip()


def _spawn(command: Sequence[str], launcher: bool) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is ours; the program travels over the socket
            command,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE if launcher else subprocess.DEVNULL,
            env={},
            close_fds=True,
            cwd="/",
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours
