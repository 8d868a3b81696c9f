"""Native code in a jail of chosen layers: a server of system calls, driven from outside.

It stands where the worker would stand, and is what a worker is once it has been taken over: it makes any system call
with any arguments. In the jail of Monty it is a program of its own, written out below so that no compiler is needed; in
that of CPython it is a Python program on a child of the zygote that reaches libc through ctypes. Both read a page of
memory, a number and six arguments, and answer with the page and the result; the page lies at PAGE.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import socket
import struct
import subprocess
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from portal.sandbox import requests
from portal.sandbox.contract import Options
from portal.sandbox.cpython import forks
from portal.sandbox.cpython.jail import open_zygote_jail
from portal.sandbox.jail import LAYERS, Jail, mount_point, open_jail

PAGE = 0x10_0000_0000
PAGE_BYTES = 4096
JAILS = ("monty", "cpython")
HAS_CODE = platform.machine() == "x86_64"

_AT = 0x40_0000
_OLD = 1 << 62
_REQUEST = struct.Struct("<7q")
_ANSWER = struct.Struct("<q")

# fmt: off
_ASSEMBLED = """
    48 bb 00 00 00 00 10 00 00 00                       mov rbx, PAGE
    49 89 dc   4c 8d ab 38 10 00 00             next:   mov r12, rbx; lea r13, [rbx + 4152]
    31 c0   31 ff   4c 89 e6   4c 89 ea   4c 29 e2      fill: read(0, r12, r13 - r12)
    0f 05   48 85 c0   0f 8e 87 00 00 00                syscall; at the end of the line: leave
    49 01 c4   4d 39 ec   72 e0                         add r12, rax; fill until r13
    48 8b 83 00 10 00 00   48 8b bb 08 10 00 00         mov rax, [rbx + 4096]; rdi
    48 8b b3 10 10 00 00   48 8b 93 18 10 00 00         rsi, rdx
    4c 8b 93 20 10 00 00   4c 8b 83 28 10 00 00         r10, r8
    4c 8b 8b 30 10 00 00                                r9
    48 0f ba f0 3e   72 04   0f 05   eb 0b              btr rax, 62; jc old; syscall; jmp answer
    53   89 fb   89 f1   cd 80   5b   48 63 c0          old: ebx, ecx; int 0x80
    48 89 83 00 10 00 00                                answer: mov [rbx + 4096], rax
    49 89 dc   4c 8d ab 08 10 00 00                     mov r12, rbx; lea r13, [rbx + 4104]
    b8 01 00 00 00   bf 01 00 00 00                     drain: write(1, r12, r13 - r12)
    4c 89 e6   4c 89 ea   4c 29 e2   0f 05              syscall
    48 85 c0   7e 0d   49 01 c4   4d 39 ec   72 de      leave at its end; drain until r13
    e9 57 ff ff ff                                      jmp next
    b8 e7 00 00 00   31 ff   0f 05                      leave: exit_group(0)
"""
# fmt: on
_CODE = bytes.fromhex("".join(re.findall(r"^ +((?:[0-9a-f]{2} +)+)", _ASSEMBLED, re.MULTILINE)))

_PYTHON = f"""
import os, struct, sys
frame = sys._getframe()
while "libc" not in frame.f_globals: frame = frame.f_back
ctypes, libc = frame.f_globals["ctypes"], frame.f_globals["libc"]
libc.syscall.restype = libc.mmap.restype = ctypes.c_long
libc.mmap(ctypes.c_void_p({PAGE}), ctypes.c_size_t({PAGE_BYTES}), 3, 0x100022, -1, ctypes.c_long(0))
while True:
    request = b""
    while len(request) < {PAGE_BYTES + _REQUEST.size}:
        part = os.read(0, {PAGE_BYTES + _REQUEST.size} - len(request))
        if not part: os._exit(0)
        request += part
    ctypes.memmove({PAGE}, request, {PAGE_BYTES})
    ctypes.set_errno(0)
    result = libc.syscall(*map(ctypes.c_long, struct.unpack_from("<7q", request, {PAGE_BYTES})))
    if result == -1: result = -ctypes.get_errno()
    answer = ctypes.string_at({PAGE}, {PAGE_BYTES}) + struct.pack("<q", result)
    while answer: answer = answer[os.write(1, answer):]
"""


class Died(Exception):
    """The process died of what it was asked to do."""


class Native:
    """A process in a jail that makes system calls on demand. ``pid`` is its number outside, ``parent`` its parent's."""

    def __init__(self, line: socket.socket, pid: int, parent: int) -> None:
        self.pid = pid
        self.parent = parent
        self.line = line
        self.line.settimeout(20)

    def call(self, number: int, *arguments: int, page: bytes = b"", old: bool = False) -> int:
        """Return what the kernel says: a value, or a negative error. ``old``: asked as 32-bit programs ask.

        Raises Died.
        """
        self.send(number, *arguments, page=page, old=old)
        return self.receive()[0]

    def send(self, number: int, *arguments: int, page: bytes = b"", old: bool = False) -> None:
        """Ask for a system call."""
        numbers = [number | (_OLD if old else 0), *arguments]
        numbers += [0] * (7 - len(numbers))
        with contextlib.suppress(ConnectionError):
            self.line.sendall(page.ljust(PAGE_BYTES, b"\0") + _REQUEST.pack(*numbers))

    def receive(self) -> tuple[int, bytes]:
        """Return the next answer, and the page as it is afterwards. Raises Died."""
        answer = _all(self.line, PAGE_BYTES + _ANSWER.size)
        return _ANSWER.unpack_from(answer, PAGE_BYTES)[0], answer[:PAGE_BYTES]


def write_program(path: Path) -> Path:
    """Write the native program as an ELF file that anybody may run."""
    headers = 64 + 2 * 56
    size = headers + len(_CODE)
    file = b"\x7fELF\x02\x01\x01" + bytes(9)
    file += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _AT + headers, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    file += struct.pack("<IIQQQQQQ", 1, 5, 0, _AT, _AT, size, size, 0x1000)
    file += struct.pack("<IIQQQQQQ", 1, 6, 0, PAGE, PAGE, 0, 2 * PAGE_BYTES, 0x1000)
    path.write_bytes(file + _CODE)
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def opened(jail: str, layers: Collection[str], program: Path, extra: dict[str, Any], **popen: Any) -> Iterator[Native]:
    """Yield native code in ``jail`` with these layers alone. ``popen`` goes to the launcher's Popen in place of ours."""
    start = _monty if jail == "monty" else _cpython
    with start(frozenset(layers), program, json.dumps(extra), popen) as native:
        yield native


@contextlib.contextmanager
def _monty(layers: frozenset[str], program: Path, extra: str, popen: dict[str, Any]) -> Iterator[Native]:
    whole = _proven("monty", extra)
    files = json.loads(whole.command[-1])["files"] | {"/monty": str(program)}
    command = _command(whole, layers, files=files, mount_point=mount_point(files.values()))
    ours, theirs = socket.socketpair()
    given: dict[str, Any] = {"env": {}, "close_fds": True, "cwd": "/", "stderr": subprocess.DEVNULL} | popen
    with ours:
        with theirs:
            process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), **given)
        try:
            yield Native(ours, process.pid, os.getpid())
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _cpython(layers: frozenset[str], program: Path, extra: str, popen: dict[str, Any]) -> Iterator[Native]:
    del program
    zygote = _zygote(layers, extra, json.dumps(popen))
    child, ours = zygote.fork()
    with ours:
        try:
            _frame(ours)
            fed = requests.feed(_PYTHON)
            ours.sendall(struct.pack("<I", len(fed)) + fed)
            yield Native(ours, child.pid, zygote.pid or 0)
        finally:
            child.kill()
            child.wait()


@cache
def _proven(jail: str, extra: str) -> Jail:
    options = Options(extra=json.loads(extra))
    return open_jail(options) if jail == "monty" else open_zygote_jail(options)


@cache
def _zygote(layers: frozenset[str], extra: str, popen: str) -> forks.Zygote:
    """Return a zygote with these layers; one for all that ask for the same. It ends with this process."""
    command = _command(_proven("cpython", extra), layers)
    zygote = forks.Zygote(Jail(command, (), launcher=True))
    start, given = subprocess.Popen, json.loads(popen)
    with mock.patch.object(subprocess, "Popen", lambda *a, **k: start(*a, **(k | given))):
        child, ours = zygote.fork()
    ours.close()
    child.kill()
    child.wait()
    return zygote


def _command(whole: Jail, layers: frozenset[str], **changed: Any) -> tuple[str, ...]:
    plan = json.loads(whole.command[-1]) | changed
    plan |= {"without": [layer for layer in LAYERS if layer not in layers], "must": [*layers], "parent": os.getpid()}
    return (*whole.command[:-1], json.dumps(plan))


def _frame(line: socket.socket) -> bytes:
    (size,) = struct.unpack("<I", _all(line, 4))
    return _all(line, size)


def _all(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = b""
        with contextlib.suppress(ConnectionError):
            part = line.recv(size - len(found))
        if not part:
            raise Died
        found += part
    return found
