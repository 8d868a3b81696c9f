"""The system calls that a worker may make: an allow-list, compiled once at start into the kernel's own form.

Everything else answers "not permitted". Threads may be made, processes not; memory that was ever writable is never
executable; files open only for reading (and Landlock leaves only the worker's own).
"""

from __future__ import annotations

import errno
import os
import tempfile

import pyseccomp

ALLOWED = [
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "lseek",
    "pread64",
    "fstat",
    "newfstatat",
    "statx",
    "openat",
    "readlink",
    "access",
    "faccessat",
    "faccessat2",
    "poll",
    "ppoll",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "membarrier",
    "futex",
    "sched_yield",
    "sched_getaffinity",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "tgkill",
    "restart_syscall",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "getrandom",
    "gettid",
    "getpid",
    "rseq",
    "set_robust_list",
    "set_tid_address",
    "arch_prctl",
    "prlimit64",
    "exit",
    "exit_group",
    "execve",
]
_RESTRICTED = frozenset({"openat", "prlimit64"})
_USED_BY_LAUNCHER_AND_PROBE = [
    "pivot_root",
    "capset",
    "capget",
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "mount",
    "sethostname",
    "socket",
    "socketpair",
    "connect",
    "sendmsg",
    "clone3",
    "kill",
    "ptrace",
    "process_vm_readv",
    "setuid",
    "chroot",
    "unshare",
    "memfd_create",
    "bpf",
    "io_uring_setup",
    "userfaultfd",
    "perf_event_open",
    "keyctl",
    "pidfd_open",
    "prctl",
    "openat",
    "mmap",
    "ioctl",
    "tgkill",
]
# libseccomp older than the kernel may not know these; the numbers are the same on every 64-bit architecture.
_NUMBERS = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
_WRITE, _EXEC = 2, 4
_THREAD = 0x10000
_SET_NAME = 15
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def export_filter() -> bytes:
    """Return the filter as BPF instructions. Raises OSError when libseccomp refuses."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in ALLOWED:
        # A name that this architecture does not have needs no rule.
        if name not in _RESTRICTED and _number(name) >= 0:
            rules.add_rule(pyseccomp.ALLOW, name)
    masked, arg = pyseccomp.MASKED_EQ, pyseccomp.Arg
    rules.add_rule(pyseccomp.ALLOW, "openat", arg(2, masked, _WRITING, 0))
    # Reading limits is needed for thread stacks; setting them, or reading another process's, is not.
    rules.add_rule(pyseccomp.ALLOW, "prlimit64", arg(0, pyseccomp.EQ, 0), arg(2, pyseccomp.EQ, 0))
    # The loader maps libraries as code. Nothing maps memory that is code and can be written.
    rules.add_rule(pyseccomp.ALLOW, "mmap", arg(2, masked, _EXEC, 0))
    rules.add_rule(pyseccomp.ALLOW, "mmap", arg(2, masked, _EXEC | _WRITE, _EXEC))
    rules.add_rule(pyseccomp.ALLOW, "mprotect", arg(2, masked, _EXEC, 0))
    rules.add_rule(pyseccomp.ALLOW, "clone", arg(0, masked, _THREAD, _THREAD))
    # The filter cannot look into clone3's structure; without it libc falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(pyseccomp.ALLOW, "prctl", arg(0, pyseccomp.EQ, _SET_NAME))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def system_calls() -> dict[str, int]:
    """Return the numbers of the system calls that the launcher and the probe make directly."""
    return {name: _NUMBERS.get(name, _number(name)) for name in _USED_BY_LAUNCHER_AND_PROBE}


def _number(name: str) -> int:
    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    except (OSError, ValueError):
        return -1
