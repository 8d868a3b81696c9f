"""What each layer of the jail forbids, tried by native code once with that layer alone and once without it.

``python -m tests.sandbox.acts USER`` becomes that user, tries everything in both jails and prints
``{jail: {layer: {act: [without the layer, with it]}}}``, where "done" means that the kernel let it through. What an act
needs beside its layer to be possible at all stands in ``Layer.beside``, in both attempts.

Without the layer an act succeeds as whoever runs this, perhaps root. So it asks for what changes nothing: it opens
without writing, or gives a nonsense that the kernel sees only after it has granted the right.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyseccomp

from portal.sandbox import filter as monty_filter
from portal.sandbox.contract import Options
from portal.sandbox.cpython import filter as cpython_filter
from portal.sandbox.jail import LAYERS, open_jail
from tests.sandbox.baits import Baits, laid
from tests.sandbox.breach import JAILS, PAGE, Died, Native, opened, write_program

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3.11"
DONE = "done"
_HERE, _CREATE, _RDWR = -100, os.O_CREAT | os.O_WRONLY, os.O_RDWR
_SPACES = "network, ipc, uts and mount namespaces"


def sys_no(name: str) -> int:
    """Return a system call's number on this machine."""
    return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))


@dataclass(frozen=True, slots=True)
class World:
    """What there is to reach."""

    baits: Baits
    folder: Path
    program: Path
    shared_memory_key: int
    leaked: int

    @property
    def bait(self) -> str:
        return str(self.baits.file)


Act = Callable[[Native, World], "int | str"]


@dataclass(frozen=True, slots=True)
class Layer:
    """``beside``: layers without which there is nothing to see. ``for_root``: who is nobody already needs it not."""

    acts: Mapping[str, Act]
    beside: tuple[str, ...] = ()
    beside_nobody: tuple[str, ...] | None = None
    for_root: bool = False
    through: frozenset[str] = field(default_factory=frozenset)


def _path(path: str | Path) -> bytes:
    return str(path).encode() + b"\0"


def _open(path: str | Path, flags: int = 0) -> Act:
    return lambda native, world: native.call(
        sys_no("openat"), _HERE, PAGE, flags, 0o600, page=_path(str(path).format(world=world))
    )


def _port(native: Native, world: World, what: str, port: int) -> int:
    descriptor = native.call(sys_no("socket"), socket.AF_INET, socket.SOCK_STREAM, 0)
    if descriptor < 0:
        return descriptor
    address = struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    return native.call(sys_no(what), descriptor, PAGE, len(address), page=address)


def _abstract(native: Native, world: World) -> int:
    descriptor = native.call(sys_no("socket"), socket.AF_UNIX, socket.SOCK_STREAM, 0)
    address = struct.pack("<H", socket.AF_UNIX) + b"\0" + world.baits.values["abstract"].encode()
    return native.call(sys_no("connect"), descriptor, PAGE, len(address), page=address)


def _run(native: Native, path: Path) -> int:
    """Become another copy of the native program; return its user, or the error."""
    page = _path(path).ljust(512, b"\0") + struct.pack("<3Q", PAGE, 0, 0)
    native.send(sys_no("execve"), PAGE, PAGE + 512, PAGE + 528, page=page)
    native.send(sys_no("geteuid"))
    first = native.receive()[0]
    return first if first >= 0 else (native.receive(), first)[1]


def _shares(space: str) -> Act:
    def act(native: Native, world: World) -> str:
        # Its launcher has done its work by the time that it answers.
        native.call(sys_no("getpid"))
        mine, its = (Path(f"/proc/{pid}/ns/{space}").readlink() for pid in ("self", native.pid))
        return DONE if mine == its else "apart"

    return act


def _as_root(native: Native, world: World) -> str:
    user = _run(native, world.folder / "set-user-id")
    return DONE if user == 0 else "no gain" if user > 0 else errno.errorcode[-user]


def _write(native: Native, world: World) -> int:
    ignored = struct.pack("<4Q", 1, 0x04000000, 0, 0)
    native.call(sys_no("rt_sigaction"), signal.SIGXFSZ, PAGE, 0, 8, page=ignored)
    descriptor = _open(world.folder / "anybody", os.O_WRONLY)(native, world)
    assert isinstance(descriptor, int)
    return native.call(sys_no("write"), descriptor, PAGE, 1)


def _descriptors(native: Native, world: World) -> int:
    return min(native.call(sys_no("dup"), 0) for _ in range(40))


def _mount(native: Native, world: World) -> int:
    return native.call(sys_no("mount"), PAGE, PAGE + 64, PAGE, 0, 0, page=b"nothing".ljust(64, b"\0") + b"/")


def _fork(native: Native, world: World) -> int:
    return native.call(sys_no("clone"), signal.SIGCHLD, 0, 0, 0, 0)


def _bounded(native: Native, world: World) -> str:
    native.call(sys_no("getpid"))
    limits = Path(f"/proc/{native.pid}/limits").read_text()
    most = next(line.split()[2] for line in limits.splitlines() if line.startswith("Max processes"))
    return DONE if most == "unlimited" or int(most) > 1_000 else "bounded"


def _bereft(native: Native, world: World) -> str:
    """Kill its parent, and ask for an answer once it has another one."""
    native.call(sys_no("getpid"))
    os.kill(native.parent, signal.SIGKILL)
    while _parent(native.pid) == native.parent:
        time.sleep(0.01)
    native.call(sys_no("getpid"))
    return DONE


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


_FORBIDDEN: dict[str, Act] = {
    "a socket": lambda n, w: n.call(sys_no("socket"), socket.AF_INET, socket.SOCK_STREAM, 0),
    "a pair of sockets": lambda n, w: n.call(sys_no("socketpair"), socket.AF_UNIX, socket.SOCK_STREAM, 0, PAGE),
    "a file in memory": lambda n, w: n.call(sys_no("memfd_create"), PAGE, 0, page=b"x"),
    "a new process": _fork,
    "a new space": lambda n, w: n.call(sys_no("unshare"), 0),
    "a traced process": lambda n, w: n.call(sys_no("ptrace"), 0, 0, 0, 0),
    "memory of another process": lambda n, w: n.call(sys_no("process_vm_readv"), n.pid, 0, 0, 0, 0, 0),
    "a signal": lambda n, w: n.call(sys_no("kill"), n.pid, 0),
    "writable code": lambda n, w: n.call(sys_no("mmap"), 0, 4096, 7, 0x22, -1, 0),
    "memory made code": lambda n, w: n.call(sys_no("mprotect"), PAGE, 4096, 7),
    "a file for writing": _open("/dev/null", _RDWR),
    "a limit changed": lambda n, w: n.call(
        sys_no("prlimit64"), 0, 7, PAGE, 0, page=struct.pack("<2Q", 16, 16)
    ) if n.call(sys_no("prlimit64"), n.pid, 7, 0, PAGE) >= 0 else -errno.EPERM,
    "process options": lambda n, w: n.call(sys_no("prctl"), 3, 0, 0, 0, 0),
    "a ring": lambda n, w: n.call(sys_no("io_uring_setup"), 0, 0),
    "a keyring": lambda n, w: n.call(sys_no("keyctl"), 0, -3, 0, 0, 0),
    "a terminal's control": lambda n, w: n.call(sys_no("ioctl"), 0, 0x541B, PAGE),
    "a handle to itself": lambda n, w: n.call(sys_no("pidfd_open"), n.pid, 0),
}  # fmt: skip

ACTS: dict[str, Layer] = {
    "unprivileged user": Layer(
        {
            "becoming root": lambda n, w: n.call(sys_no("setuid"), 0),
            "reading what is root's": _open("{world.folder}/root-only"),
            "signalling the portal": lambda n, w: n.call(sys_no("kill"), os.getpid(), 0),
            "changing the host's name": lambda n, w: n.call(sys_no("sethostname"), PAGE, 1_000),
        },
        for_root=True,
        through=frozenset({"EINVAL"}),
    ),
    "user namespace": Layer(
        {
            "mounting": _mount,
            "changing the host's name": lambda n, w: n.call(sys_no("sethostname"), PAGE, 1_000),
            "making a device": lambda n, w: n.call(
                sys_no("mknodat"), _HERE, PAGE, 0o020666, 0x103, page=_path(w.folder / f"device-{n.pid}")
            ),
        },
        for_root=True,
        through=frozenset({"EINVAL", "ENODEV"}),
    ),
    _SPACES: Layer(
        {
            "connecting to a port": lambda n, w: _port(n, w, "connect", int(w.baits.values["port"])),
            "connecting to an abstract socket": _abstract,
            "the host's shared memory": lambda n, w: n.call(sys_no("shmget"), w.shared_memory_key, 0, 0),
            **{f"the host's {space}": _shares(space) for space in ("net", "ipc", "uts", "mnt")},
        },
        beside_nobody=("user namespace",),
    ),
    "empty root": Layer(
        {
            "a file": _open("{world.bait}"),
            "a folder": _open("{world.folder}", os.O_DIRECTORY),
            "the processes of the machine": _open("/proc/self/maps"),
            "a device": _open("/dev/null"),
            "users": _open("/etc/passwd"),
            "that a file exists": lambda n, w: n.call(sys_no("access"), PAGE, 0, page=_path(w.bait)),
            "a way up": _open("../../../../../../../../etc/passwd"),
        },
        beside=(_SPACES,),
        beside_nobody=("user namespace", _SPACES),
    ),
    "no new privileges": Layer({"a program that makes its user root": _as_root}, beside=("unprivileged user",)),
    "no capabilities": Layer(
        {
            "another root": lambda n, w: n.call(sys_no("chroot"), PAGE, page=b"/"),
            "mounting": _mount,
            "reading what is another's": _open("{world.folder}/nobody-only"),
            "a raw socket": lambda n, w: n.call(sys_no("socket"), socket.AF_INET, socket.SOCK_RAW, 1),
            # Last: who it has become has no rights left.
            "becoming another": lambda n, w: n.call(sys_no("setuid"), 12_345),
        },
        for_root=True,
        through=frozenset({"ENODEV"}),
    ),
    "resource limits": Layer(
        {
            "two gigabytes": lambda n, w: n.call(sys_no("mmap"), 0, 1 << 31, 3, 0x4022, -1, 0),
            "memory that stays": lambda n, w: n.call(sys_no("mlock"), PAGE, 4096),
            "many descriptors": _descriptors,
            "writing to a file": _write,
            "processes without end": _bounded,
            "a higher limit": lambda n, w: n.call(sys_no("prlimit64"), 0, 7, PAGE, 0, page=struct.pack("<2Q", 64, 64)),
        },
        beside=("unprivileged user", "user namespace"),
    ),
    "landlock": Layer(
        {
            "reading a file": _open("{world.bait}"),
            "listing a folder": _open("/", os.O_DIRECTORY),
            "writing to a file": _open("{world.folder}/anybody", os.O_WRONLY),
            "making a folder": lambda n, w: n.call(
                sys_no("mkdirat"), _HERE, PAGE, 0o700, page=_path(w.folder / f"made-{n.pid}")
            ),
            "running a program": lambda n, w: _run(n, w.folder / "copy"),
            "connecting to a port": lambda n, w: _port(n, w, "connect", int(w.baits.values["port"])),
            "opening a port": lambda n, w: _port(n, w, "bind", 0),
            "connecting to an abstract socket": _abstract,
            "signalling the portal": lambda n, w: n.call(sys_no("kill"), os.getpid(), 0),
        },
        beside=("no new privileges",),
    ),
    "seccomp": Layer(
        _FORBIDDEN,
        beside=("no new privileges",),
        through=frozenset({"EFAULT", "EINVAL", "ESRCH", "ENOKEY", "ENOTTY"}),
    ),
    "closed descriptors": Layer({"what the portal left open": lambda n, w: n.call(sys_no("fcntl"), w.leaked, 1)}),
    "parent-death signal": Layer({"outliving its parent": _bereft}),
}


SPOILING = {
    "a program that makes its user root",
    "a new process",
    "many descriptors",
    "outliving its parent",
    "running a program",
}
"""After these a process is another, or two."""


def tried(native: Native, act: Act, world: World, layer: Layer) -> str:
    """Return "done" or why not."""
    try:
        result = act(native, world)
    except Died:
        return "died"
    if isinstance(result, str):
        return result
    name = errno.errorcode.get(-result, str(result))
    return DONE if result >= 0 or name in layer.through else name


def report(world: World, extra: dict[str, Any]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Try everything."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {jail: {} for jail in JAILS}
    root = os.geteuid() == 0
    for jail in JAILS:
        for name, layer in ACTS.items():
            if layer.for_root and not root:
                continue
            beside = layer.beside if root or layer.beside_nobody is None else layer.beside_nobody
            without, alone = (_attempts(jail, layers, layer, world, extra) for layers in (beside, (*beside, name)))
            found[jail][name] = {what: [without[what], alone[what]] for what in layer.acts}
        found[jail]["all"] = {
            f"{name}: {what}": ["", end]
            for name, layer in ACTS.items()
            for what, end in _attempts(jail, LAYERS, layer, world, extra).items()
        }
        found[jail]["sweep"] = {"every other system call": [DONE, _sweep(jail, world, extra)]}
    return found


def _attempts(jail: str, layers: tuple[str, ...], layer: Layer, world: World, extra: dict[str, Any]) -> dict[str, str]:
    """Try the acts of one layer in a jail of these ``layers``: on one process, and on others those that spoil one."""
    found: dict[str, str] = {}
    popen = {"close_fds": False} if layer is ACTS["closed descriptors"] else {}
    while len(found) < len(layer.acts):
        if jail == "monty" and layer is ACTS["parent-death signal"]:
            return dict.fromkeys(layer.acts, _orphan(layers, world, extra))
        with opened(jail, layers, world.program, extra, **popen) as native:
            for what, act in layer.acts.items():
                if what in found:
                    continue
                found[what] = tried(native, act, world, layer)
                if found[what] == "died" or what in SPOILING:
                    break
    return found


def _orphan(layers: tuple[str, ...], world: World, extra: dict[str, Any]) -> str:
    """Start a worker as the child of a process of its own, for its parent is to be killed."""
    ours, theirs = socket.socketpair()
    middle = os.fork()
    if middle == 0:
        with opened("monty", layers, world.program, extra) as native:
            socket.send_fds(theirs, [str(native.pid).encode()], [native.line.fileno()])
            signal.pause()
    with ours, theirs:
        pid, descriptors, _, _ = socket.recv_fds(ours, 20, 1)
    # The line stays open here, so that its end is not what ends the worker.
    with socket.socket(fileno=descriptors[0]) as line:
        found = tried(Native(line, int(pid), middle), _bereft, world, ACTS["parent-death signal"])
    os.waitpid(middle, 0)
    return found


def _sweep(jail: str, world: World, extra: dict[str, Any]) -> str:
    """Make every system call that the filter does not name, and say which did not answer as it answers."""
    allowed = monty_filter.ALLOWED if jail == "monty" else cpython_filter.CHILD
    known = {sys_no(name) for name in (*allowed, "mmap", "mprotect", "clone", "prctl", "prlimit64", "openat")}
    through = []
    with opened(jail, ("unprivileged user", "no new privileges", "seccomp"), world.program, extra) as native:
        # Not filtered by the kernel itself since 6.14: what a probed function returns through. Useless without a probe.
        for number in set(range(600)) - known - {335, 336}:
            result = native.call(number, -1, -1, -1, -1, -1, -1)
            if result not in {-errno.EPERM, -errno.ENOSYS}:
                through.append(str(number))
    for number in (0x40000000 | sys_no("getpid"), 0x40000000 | 512):
        with opened(jail, ("unprivileged user", "no new privileges", "seccomp"), world.program, extra) as native:
            try:
                result = native.call(number)
            except Died:
                continue
            if result not in {-errno.EPERM, -errno.ENOSYS}:
                through.append(hex(number))
    if jail == "monty":
        layers = ("unprivileged user", "no new privileges", "seccomp")
        with opened(jail, layers, world.program, extra) as native, contextlib.suppress(Died):
            through.append(f"the old door: {native.call(20, old=True)}")
    return ", ".join(through) or "refused"


def main(user: str) -> None:
    """Prepare the world as who we are, become ``user``, try, print."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mcp-portal-"))
    folder.chmod(0o777)
    libc = ctypes.CDLL(None, use_errno=True)
    key = int.from_bytes(os.urandom(3), "big") + 1
    segment = libc.shmget(key, 4096, 0o1666)
    try:
        with laid() as baits:
            program = write_program(folder / "native")
            write_program(folder / "copy")
            write_program(folder / "set-user-id").chmod(0o4755)
            for name, mode in (("root-only", 0o600), ("nobody-only", 0o600), ("anybody", 0o666)):
                (folder / name).touch()
                (folder / name).chmod(mode)
            if os.geteuid() == 0:
                os.chown(folder / "nobody-only", NOBODY, NOBODY)
            # Above what a child of the zygote closes once more by itself.
            most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            leaked = fcntl.fcntl(os.open(baits.file, os.O_RDONLY), fcntl.F_DUPFD, 2000)
            # A process of its own: who has become nobody could not clean up.
            child = os.fork()
            if child == 0:
                world = World(baits, folder, program, key, leaked)
                print(json.dumps(report(world, _become(user, folder, libc))), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
    finally:
        libc.shmctl(segment, 0, None)
        shutil.rmtree(folder, ignore_errors=True)


def _become(user: str, folder: Path, libc: ctypes.CDLL) -> dict[str, Any]:
    """Become ``user``. Return what the jail must be told, for nobody can read an interpreter in a home folder."""
    if user != "nobody" or os.geteuid() != 0:
        return {}
    found = next(
        Path(path) for path in json.loads(open_jail(Options()).command[-1])["files"].values() if path.endswith("/monty")
    )
    monty = folder / "monty"
    shutil.copy(found, monty)
    monty.chmod(0o755)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Else its own /proc would be root's.
    libc.prctl(4, 1, 0, 0, 0)
    return {"python": SYSTEM_PYTHON, "monty": str(monty)}


if __name__ == "__main__":
    main(sys.argv[1])
