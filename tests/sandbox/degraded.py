"""The portal's command line on a machine that offers less: ``python -m tests.sandbox.degraded HOST serve …``.

What the machine lacks is taken from this process, and so from everything that it starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyseccomp

NEW_USER = 0x10000000
_SPACES = ("user namespace", "network, ipc, uts and mount namespaces", "empty root")


def without_calls(error: int, *calls: str | int) -> Callable[[], None]:
    """Return what makes the kernel answer these system calls with ``error``."""

    def restrict() -> None:
        rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
        for call in calls:
            rules.add_rule(pyseccomp.ERRNO(error), call)
        rules.load()

    return restrict


def in_a_user_namespace_of_one() -> None:
    """Be root of a user namespace that holds nobody else and may hold no other, as in a rootless container."""
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_USER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(line)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


HOSTS: dict[str, tuple[Callable[[], None], frozenset[str]]] = {
    "no new namespaces": (without_calls(errno.EPERM, "unshare"), frozenset(_SPACES)),
    "no mounting": (without_calls(errno.EPERM, "mount"), frozenset({"empty root"})),
    "no landlock": (without_calls(errno.ENOSYS, 444, 445, 446), frozenset({"landlock"})),
    "no seccomp": (without_calls(errno.ENOSYS, "seccomp"), frozenset({"seccomp"})),
    "a rootless container": (in_a_user_namespace_of_one, frozenset({"unprivileged user", "user namespace"})),
}
"""What each machine lacks, and which layers fall with it."""


if __name__ == "__main__":
    HOSTS[sys.argv[1]][0]()
    sys.argv = ["portal", *sys.argv[2:]]
    from portal.cli import main

    main()
