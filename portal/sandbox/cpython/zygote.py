"""The process that every child is a copy of: Python with its standard library, jailed before anybody may ask for one.

Loaded and run by jail_entry.py. It reads nothing but the portal's requests, each of which brings a child's line; no
program ever talks to it. A child closes the jail once more around itself: nobody but itself may it signal, no process
may it start, no memory may it make executable.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
from typing import Any

from portal.sandbox.cpython import child
from portal.sandbox.cpython.preload import preload

READY = b"ready"
_PAGE_BYTES = resource.getpagesize()
_REFUSED = 97
_MAX_REQUEST_BYTES = 64


def prepare() -> tuple[int, list[object]]:
    """Load everything. Return how many bytes of address space that takes, and what must stay referenced."""
    kept = preload()
    child.rehearse()
    # Reading /proc afterwards is not possible.
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    return pages * _PAGE_BYTES, kept


def confine(jail: Any, parent: int) -> None:
    """Do in a child what a fork does not inherit, or what only a child may lose; all but the filter."""
    jail.plan["parent"] = parent
    jail.step("parent-death signal", jail.die_with_parent)
    jail.step("landlock", jail.landlock)
    # No process of its own, whatever the filter says.
    jail.step("resource limits", _no_processes)


def serve(jail: Any, base_bytes: int) -> None:
    """Fork a child for each request, for ever. Ends with the portal."""
    # All given: asking the kernel what it is would be one more system call to allow.
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=0)
    gc.collect()
    gc.freeze()
    control.send(READY)
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST_BYTES, 1)
        if not asked or len(descriptors) != 1:
            os._exit(0)
        _reap()
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_child(jail, descriptors[0], zygote, base_bytes)
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [str(pid).encode()], [handle])
        os.close(handle)
        os.close(descriptors[0])


def _become_child(jail: Any, descriptor: int, zygote: int, base_bytes: int) -> None:
    try:
        os.dup2(descriptor, 0)
        os.dup2(descriptor, 1)
        os.closerange(3, 1_024)
        confine(jail, zygote)
        jail.plan["filter"] = jail.plan["child_filter"]
        jail.step("seccomp", jail.filter)
        child.serve(base_bytes)
    finally:
        os._exit(_REFUSED)


def probe(jail: Any, report: Any) -> None:
    """Run the probe in a child as a program's child would be, and end with its exit code."""
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        confine(jail, zygote)
        jail.plan["filter"] = jail.plan["child_filter"]
        report(jail)
        os._exit(_REFUSED)
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _no_processes() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
