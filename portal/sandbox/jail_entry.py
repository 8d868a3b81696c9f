"""Puts itself into the jail, then becomes the worker. Run as a script by a bare interpreter; imports
nothing of ours unless the worker is Python itself (``plan["zygote"]``: portal/sandbox/cpython/zygote.py).

Every layer is tried; one that fails is an error only if the plan says that it must hold, which is what the start-up
self-test found on this machine. So a layer that once held can never be lost without a worker refusing to start.
Arguments: the plan as JSON, and optionally the path of the probe to run instead of the worker.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

NEW_USER, NEW_NET, NEW_IPC, NEW_UTS, NEW_NS = 0x10000000, 0x40000000, 0x08000000, 0x04000000, 0x00020000
SPACES = NEW_NET | NEW_IPC | NEW_UTS | NEW_NS
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = (
    1, 4, 24, 28, 38, 47,
)  # fmt: skip
SECUREBITS_ALL_LOCKED = 0x2F
SIGKILL = 9
NOBODY = 65534
REFUSED = 97
EXECUTE, READ_FILE = 1, 4

libc = ctypes.CDLL(None, use_errno=True)


class JailError(Exception):
    """A step was refused by the kernel."""


def check(result: int, what: str) -> int:
    """Return a system call's result. Raises JailError when it failed."""
    if result < 0:
        raise JailError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


class Jail:
    """The steps, in order. ``problems`` says for each layer why it is not in force."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.calls = plan["system_calls"]
        self.problems: dict[str, str] = {}
        self.root = os.geteuid() == 0
        self.isolated = False
        self.rooted = False
        self.spaces = 0 if "network, ipc, uts and mount namespaces" in plan["without"] else SPACES
        self.user_outside = os.geteuid()
        self.files = {path: os.open(source, os.O_PATH | os.O_CLOEXEC) for path, source in plan["files"].items()}
        # Held open: the empty root has no /proc. "self" in it is whoever looks, a forked child too.
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def step(self, layer: str, action: Callable[[], None]) -> bool:
        """Do one step; note why it failed, or end here if the layer must hold."""
        if layer in self.plan["without"]:
            # Left out in silence, to show that the probe notices by itself.
            return True
        try:
            action()
        except (OSError, ValueError, JailError) as error:
            if layer in self.plan["must"]:
                os.write(2, f"jail: {layer}: {error}\n".encode())
                os._exit(REFUSED)
            self.problems[layer] = str(error)
            return False
        return True

    def enter(self) -> None:
        """Apply everything but the system call filter, which comes last."""
        if self.root:
            # With the right to mount, spaces need no user namespace, and the process can become nobody afterwards.
            self.isolated = self.spaces != 0 and libc.unshare(self.spaces) == 0
            if self.isolated:
                self.step("empty root", self.empty_root)
            # Only root may: who has become nobody cannot any more.
            self.step("no capabilities", self.drop_bounding_set)
            self.step("unprivileged user", self.become_nobody)
        with_root = self.isolated
        self.user_outside = os.geteuid()
        if self.step("user namespace", self.user_namespace) and self.isolated and not with_root:
            self.step("empty root", self.empty_root)
        self.step("network, ipc, uts and mount namespaces", self.are_isolated)
        if not self.isolated:
            self.step("empty root", self.are_isolated)
        self.step("parent-death signal", self.die_with_parent)
        self.step("no new privileges", self.no_new_privileges)
        self.step("no capabilities", self.drop_capabilities)
        self.step("resource limits", self.limit_resources)
        self.step("landlock", self.landlock)

    def are_isolated(self) -> None:
        if not self.isolated:
            raise JailError("the kernel allows no new namespaces to this user")

    def no_new_privileges(self) -> None:
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")

    def die_with_parent(self) -> None:
        check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl")
        if os.getppid() != self.plan["parent"]:
            raise JailError("the parent is gone already")

    def become_nobody(self) -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # Else /proc/self belongs to root and the user namespace cannot be set up.
        check(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl")

    def user_namespace(self) -> None:
        uid, gid = os.geteuid(), os.getegid()
        if self.isolated:
            check(libc.unshare(NEW_USER), "unshare")
        elif self.spaces and libc.unshare(NEW_USER | self.spaces) == 0:
            self.isolated = True
        else:
            check(libc.unshare(NEW_USER), "unshare")
        for name, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {uid} 1"), ("gid_map", f"{NOBODY} {gid} 1")):
            descriptor = os.open(f"self/{name}", os.O_WRONLY, dir_fd=self.proc)
            os.write(descriptor, line.encode())
            os.close(descriptor)

    def empty_root(self) -> None:
        """Make a root that holds the worker's own files and nothing else, read-only."""
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount private")
        new = self.plan["mount_point"]
        flags = MS_NOSUID | MS_NODEV
        check(libc.mount(b"jail", new.encode(), b"tmpfs", flags, b"size=64k,mode=0755"), "mount tmpfs")
        for path, source in self.plan["files"].items():
            target = new + path
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444))
            check(libc.mount(source.encode(), target.encode(), None, MS_BIND, None), f"bind {source}")
            kept = os.statvfs(target).f_flag
            locked = (kept & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)) | (kept & 0xC00) | ((kept & 0x1000) << 9)
            flagged = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | locked
            check(libc.mount(None, target.encode(), None, flagged, None), "bind read-only")
        check(libc.mount(None, new.encode(), None, MS_REMOUNT | MS_RDONLY | flags, None), "root read-only")
        os.chdir(new)
        check(libc.syscall(self.calls["pivot_root"], b".", b"."), "pivot_root")
        check(libc.umount2(b".", 2), "umount")
        os.chdir("/")
        self.rooted = True

    def drop_bounding_set(self) -> None:
        for capability in range(64):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
                break

    def drop_capabilities(self) -> None:
        self.drop_bounding_set()
        libc.prctl(PR_SET_SECUREBITS, SECUREBITS_ALL_LOCKED, 0, 0, 0)
        libc.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        check(libc.syscall(self.calls["capset"], header, (ctypes.c_uint32 * 6)()), "capset")

    def limit_resources(self) -> None:
        bounds = dict(self.plan["limits"])
        if "user namespace" in self.problems:
            # Without a namespace of its own the count is shared with every process of the same user.
            bounds.pop("RLIMIT_NPROC", None)
        for name, value in bounds.items():
            which = getattr(resource, name)
            resource.setrlimit(which, (value, value))

    def landlock(self) -> None:
        create, add, restrict = (
            self.calls[f"landlock_{name}"] for name in ("create_ruleset", "add_rule", "restrict_self")
        )
        abi = check(libc.syscall(create, None, 0, 1), "landlock is not in this kernel")
        # Rights that a kernel does not know must not be asked for; each version adds some.
        files = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
        handled = (ctypes.c_uint64 * 3)(files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        ruleset = check(libc.syscall(create, handled, size, 0), "landlock ruleset")
        for path, descriptor in self.files.items():
            rights = READ_FILE | (EXECUTE if path in self.plan["executable"] else 0)
            rule = rights.to_bytes(8, sys.byteorder) + descriptor.to_bytes(4, sys.byteorder)
            check(libc.syscall(add, ruleset, 1, ctypes.create_string_buffer(rule, 12), 0), "landlock rule")
        check(libc.syscall(restrict, ruleset, 0), "landlock restrict")
        os.close(ruleset)
        if abi < self.plan["landlock_abi"]:
            raise JailError(f"version {abi}; {self.plan['landlock_abi']} or newer also confines network and signals")

    def close_descriptors(self) -> None:
        os.dup2(self.null, 2)
        os.closerange(3, 65_536)

    def filter(self) -> None:
        code = bytes.fromhex(self.plan["filter"])
        program = ctypes.create_string_buffer(code, len(code))

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

        given = Program(len(code) // 8, ctypes.addressof(program))
        check(libc.syscall(self.calls["seccomp"], 1, 0, ctypes.byref(given)), "seccomp")


def load_zygote(folder: str) -> tuple[Any, int, list[object]]:
    """Load the CPython zygote from our package, and through it the standard library, while there are files."""
    # Last, and only for our own modules: nothing beside our package may stand in for the standard library.
    sys.path.append(folder)
    zygote = importlib.import_module("portal.sandbox.cpython.zygote")
    sys.path.remove(folder)
    return zygote, *zygote.prepare()


def main(arguments: list[str]) -> None:
    """Enter the jail and become the worker, or run the probe in its place."""
    plan = json.loads(arguments[0])
    jail = Jail(plan)
    zygote, base_bytes, _kept = load_zygote(plan["zygote"]) if "zygote" in plan else (None, 0, [])
    if len(arguments) > 1:
        probe: dict[str, Any] = {}
        with open(arguments[1], encoding="utf-8") as file:  # noqa: PTH123
            exec(compile(file.read(), "probe", "exec"), probe)  # noqa: S102 - our own file
        probe["prepare"](jail)
        jail.enter()
        if zygote is not None:
            zygote.probe(jail, probe["report"])
        probe["report"](jail)
    jail.enter()
    if zygote is not None:
        jail.step("closed descriptors", jail.close_descriptors)
        jail.step("seccomp", jail.filter)
        zygote.serve(jail, base_bytes)
    target = "/monty" if jail.rooted else plan["files"]["/monty"]
    jail.step("closed descriptors", jail.close_descriptors)
    jail.step("seccomp", jail.filter)
    os.execve(target, ["monty", "subprocess"], {})  # noqa: S606


main(sys.argv[1:])
