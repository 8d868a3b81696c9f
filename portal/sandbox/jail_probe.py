"""Tries to break out of the jail from inside, layer by layer. Loaded by jail_entry in place of the worker.

Each layer is attacked as if the ones around it had failed: first everything without the system call filter, then the
filter. Whatever succeeds is reported as a hole in that layer. Prints one JSON object, then ends.

Where nothing holds, this runs as the service itself, perhaps as root. So an attempt that gets through must change
nothing outside this process: it asks for what the kernel refuses for another reason once the right has been granted
(a filesystem that does not exist, a host name that is too long), or opens without writing.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

Attempt = Callable[[], object]

RAN = 99
"""The exit code that tells that the probe became another program."""


class Held(Exception):
    """An attempt that the jail refused."""


def prepare(jail: Any) -> None:
    """Note what must be read before the door closes. ``jail`` is a jail_entry.Jail, which cannot be imported."""
    # The interpreter itself sets LC_CTYPE when it finds no locale; the worker is given nothing.
    jail.environment = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}


def report(jail: Any) -> None:
    """Attack, print the report, end the process."""
    attacks = Attacks(jail)
    # The steps note their own problems there; what was never applied is not attacked.
    holes: dict[str, str] = jail.problems
    for layer, attempts in attacks.without_filter().items():
        note(holes, layer, attempts)
    jail.step("closed descriptors", jail.close_descriptors)
    note(holes, "closed descriptors", {"a descriptor is open": attacks.inherited})
    jail.step("seccomp", jail.filter)
    note(holes, "seccomp", attacks.with_filter())
    os.write(1, json.dumps(holes).encode())
    os._exit(0)


def note(holes: dict[str, str], layer: str, attempts: dict[str, Attempt]) -> None:
    """Run the attempts on a layer that was applied; keep the names of those that succeeded."""
    if layer in holes:
        return
    through = [name for name, attempt in attempts.items() if succeeds(attempt)]
    if through:
        holes[layer] = "not holding: " + ", ".join(through)


def succeeds(attempt: Attempt) -> bool:
    """Whether the attempt got what it wanted."""
    try:
        return attempt() is not False
    except (OSError, Held):
        return False


class Attacks:
    """What a process that has been taken over would try."""

    def __init__(self, jail: Any) -> None:
        self.plan = jail.plan
        self.calls = jail.plan["system_calls"]
        self.environment = jail.environment
        self.user_outside = jail.user_outside
        self.proc = jail.proc
        self.libc = ctypes.CDLL(None, use_errno=True)

    def without_filter(self) -> dict[str, dict[str, Attempt]]:
        """Everything but the filter must hold without the filter."""
        return {
            "empty environment": {"the environment is not empty": lambda: bool(self.environment)},
            "unprivileged user": {
                "is root outside": lambda: self.user_outside == 0,
                "becoming root": lambda: os.setuid(0),
            },
            "user namespace": {
                "shares the host's": lambda: self.shares("user"),
                "mounting": lambda: self.forbidden("mount", b"x", b"/", b"no-such-filesystem", 0, None),
            },
            "network, ipc, uts and mount namespaces": {
                "shares the host's": lambda: any(self.shares(space) for space in ("net", "ipc", "uts", "mnt")),
                "a network interface": lambda: any(name != "lo" for _, name in socket.if_nameindex()),
                "sending to loopback": self.datagram,
                "renaming the host": lambda: self.forbidden("sethostname", b"x", 1_000),
            },
            "empty root": {
                "seeing /etc/passwd": lambda: os.stat("/etc/passwd"),  # noqa: PTH116
                "seeing /proc": lambda: os.stat("/proc/self"),  # noqa: PTH116
                "seeing another file": lambda: os.stat(self.plan["bait_file"]),  # noqa: PTH116
            },
            "no new privileges": {"not set": lambda: self.libc.prctl(39, 0, 0, 0, 0) != 1},
            "no capabilities": {"a capability": self.capability, "chroot": lambda: os.chroot("/")},
            "resource limits": {"writing a file": self.write_memory_file, "a limit is missing": self.unlimited},
            "landlock": {
                "listing a folder": lambda: os.listdir("/"),  # noqa: PTH208
                "reading a file": lambda: os.open(self.plan["bait_file"], os.O_RDONLY),
                "creating a file": lambda: os.open("/", os.O_TMPFILE | os.O_WRONLY),
                "writing to a file": lambda: os.open(self.plan["bait_file"], os.O_WRONLY),
                "writing to the worker": lambda: os.open(self.worker_path(), os.O_WRONLY),
                "running a program": lambda: self.run_program("/bin/sh"),
                "opening a TCP port": self.listen,
                "signalling the portal": lambda: os.kill(self.plan["portal"], 0),
                "signalling the parent": lambda: os.kill(self.plan["parent"], 0),
            },
            "parent-death signal": {"not set": self.survives_parent},
        }

    def with_filter(self) -> dict[str, Attempt]:
        """What only the filter forbids."""
        raw = self.raw
        return {
            "socket inet": lambda: raw("socket", 2, 1, 0),
            "socket unix": lambda: raw("socket", 1, 1, 0),
            "socketpair": lambda: raw("socketpair", 1, 1, 0, (ctypes.c_int * 2)()),
            "connect": lambda: self.forbidden("connect", 1, b"", 0),
            "sendmsg": lambda: self.forbidden("sendmsg", 1, None, 0),
            "fork": self.fork,
            "clone3": lambda: self.forbidden("clone3", None, 0),
            "kill": lambda: self.forbidden("kill", 0x7FFFFFFF, 0),
            "reading another process": lambda: self.forbidden("process_vm_readv", 1, None, 0, None, 0, 0),
            "setuid": lambda: raw("setuid", 65534),
            "chroot": lambda: self.forbidden("chroot", b"/"),
            "unshare": lambda: raw("unshare", 0),
            "mount": lambda: self.forbidden("mount", None, None, None, 0, None),
            "memfd_create": lambda: raw("memfd_create", b"x", 0),
            "bpf": lambda: self.forbidden("bpf", 0, None, 0),
            "io_uring": lambda: self.forbidden("io_uring_setup", 1, None),
            "userfaultfd": lambda: raw("userfaultfd", 1),
            "perf_event_open": lambda: self.forbidden("perf_event_open", None, 0, 0, -1, 0),
            "keyctl": lambda: self.forbidden("keyctl", 0, 0, 0, 0, 0),
            "pidfd_open": lambda: raw("pidfd_open", os.getpid(), 0),
            "prctl": lambda: raw("prctl", 4, 1, 0, 0, 0),
            "opening for writing": lambda: self.forbidden("openat", -100, b"/", os.O_RDWR),
            "memory both writable and executable": lambda: raw("mmap", None, 4096, 7, 0x22, -1, 0),
            "making memory executable": self.make_executable,
            "ioctl": lambda: self.forbidden("ioctl", 1, 0x5401, None),
            "execve elsewhere": lambda: self.run_program("/bin/sh"),
            # Last: a traced process stops at its next signal.
            "ptrace": lambda: raw("ptrace", 0, 0, 0, 0),
        }

    def raw(self, name: str, *arguments: object) -> bool:
        """Make a system call; succeeding is the hole."""
        ctypes.set_errno(0)
        # Pointers and integers alike travel in 64-bit registers.
        given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
        self.libc.syscall.restype = ctypes.c_long
        return bool(self.libc.syscall(ctypes.c_long(self.calls[name]), *given) != -1)

    def forbidden(self, name: str, *arguments: object) -> bool:
        """Make a system call with nonsense: any answer but "not permitted" means that it was let through."""
        return self.raw(name, *arguments) or ctypes.get_errno() not in {errno.EPERM, errno.ENOSYS}

    def shares(self, space: str) -> bool:
        return bool(os.readlink(f"self/ns/{space}", dir_fd=self.proc) == self.plan["host_spaces"][space])

    def worker_path(self) -> str:
        if os.path.exists("/monty"):  # noqa: PTH110
            return "/monty"
        # A worker that is Python itself has no file of its own.
        return str(self.plan["files"].get("/monty", self.plan["bait_file"]))

    def datagram(self) -> object:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            return sender.sendto(b"x", ("127.0.0.1", self.plan["bait_port"]))

    def listen(self) -> object:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.0.0.1", 0))
            return True

    def capability(self) -> bool:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)()
        if self.libc.syscall(self.calls["capget"], header, data) < 0:
            return True
        return any(data) or any(self.libc.prctl(23, number, 0, 0, 0) == 1 for number in range(64))

    def write_memory_file(self) -> object:
        descriptor = os.memfd_create("x")
        try:
            return os.write(descriptor, b"x")
        finally:
            os.close(descriptor)

    def unlimited(self) -> bool:
        wanted = self.plan["limits"]
        return any(
            resource.getrlimit(getattr(resource, name)) != (value, value)
            for name, value in wanted.items()
            if name != "RLIMIT_NPROC"
        )

    def survives_parent(self) -> bool:
        signal = ctypes.c_int()
        return bool(self.libc.prctl(2, ctypes.byref(signal), 0, 0, 0) < 0 or signal.value != 9)

    def run_program(self, path: str) -> bool:
        try:
            os.execve(path, [path, "-c", f"exit {RAN}"], {})  # noqa: S606
        except OSError as error:
            return error.errno not in {errno.EACCES, errno.ENOENT, errno.EPERM}

    def fork(self) -> bool:
        child = self.libc.fork()
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
        return bool(child > 0)

    def make_executable(self) -> bool:
        self.libc.mmap.restype = ctypes.c_void_p
        address = self.libc.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))
        return bool(self.libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 5) == 0)

    def inherited(self) -> bool:
        return any(is_open(descriptor) for descriptor in range(3, 256))


def is_open(descriptor: int) -> bool:
    """Whether a descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
