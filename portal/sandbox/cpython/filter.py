"""The system calls of jailed CPython: what the zygote may do, and the little of it that a child keeps.

A child computes and talks over the line it has: no process, no thread, no signal to anybody, no file, no socket, no new
memory that is code. Everything else answers "not permitted".
"""

from __future__ import annotations

import errno
import tempfile

import pyseccomp

CHILD = [
    "read",
    "write",
    "close",
    "poll",
    "ppoll",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "futex",
    "sched_yield",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "setitimer",
    "getrandom",
    "gettid",
    "getpid",
    "exit",
    "exit_group",
]
ZYGOTE = [
    "recvmsg",
    "sendmsg",
    "sendto",
    "dup2",
    "dup3",
    "close_range",
    "fcntl",
    "pidfd_open",
    "wait4",
    "getppid",
    "set_robust_list",
    "rseq",
    "prctl",
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
]
# libseccomp older than the kernel may not know them; the numbers are the same on every 64-bit architecture.
_NUMBERS = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "close_range": 436,
    "pidfd_open": 434,
}
_EXEC = 4
# A thread, or any new namespace.
_MORE_THAN_A_PROCESS = 0x10000 | 0x7E020080


def child_filter() -> bytes:
    """Return a child's filter as BPF instructions. Raises OSError when libseccomp refuses."""
    return _exported(_computing())


def zygote_filter() -> bytes:
    """Return the zygote's filter, which its children have beneath their own. Raises OSError."""
    rules = _computing()
    for name in ZYGOTE:
        number = _number(name)
        if number >= 0:
            rules.add_rule(pyseccomp.ALLOW, number)
    rules.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _MORE_THAN_A_PROCESS, 0))
    return _exported(rules)


def _computing() -> pyseccomp.SyscallFilter:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in CHILD:
        # A name that this architecture does not have needs no rule.
        if _number(name) >= 0:
            rules.add_rule(pyseccomp.ALLOW, name)
    arg, masked = pyseccomp.Arg, pyseccomp.MASKED_EQ
    rules.add_rule(pyseccomp.ALLOW, "mmap", arg(2, masked, _EXEC, 0))
    rules.add_rule(pyseccomp.ALLOW, "mprotect", arg(2, masked, _EXEC, 0))
    # Its own limits, which it can only lower.
    rules.add_rule(pyseccomp.ALLOW, "prlimit64", arg(0, pyseccomp.EQ, 0))
    # The filter cannot look into clone3's structure; without it libc falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    return rules


def _exported(rules: pyseccomp.SyscallFilter) -> bytes:
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _number(name: str) -> int:
    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    except (OSError, ValueError):
        return _NUMBERS.get(name, -1)
