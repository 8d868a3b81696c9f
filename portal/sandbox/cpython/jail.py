"""The jail of CPython: planned from the same layers as every worker's, and attacked in a child as programs get it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from portal.sandbox import jail
from portal.sandbox.contract import Layer, Options, SandboxUnavailable
from portal.sandbox.jail import HAS_LIBSECCOMP, LANDLOCK_ABI, LAYERS, Jail

if HAS_LIBSECCOMP:
    from portal.sandbox.cpython.filter import child_filter, zygote_filter
    from portal.sandbox.filter import system_calls

_FOLDER = Path(__file__).resolve().parents[3]
_SPARE_PROCESSES = 64


def open_zygote_jail(options: Options) -> Jail:
    """Plan the jail and attack it. Blocks for about a second. Raises SandboxUnavailable when it cannot be planned.

    Its command is a zygote whose standard input and output are its control socket. ``options.extra`` as in
    portal.sandbox.jail.open_jail, without ``monty``.
    """
    missing = _impossible(options)
    if missing:
        return Jail((), tuple(Layer(name, active=False, detail=missing) for name in LAYERS), launcher=False)
    python = str(options.extra.get("python") or sys.executable)
    limits = jail.limits(int(options.extra.get("address_space_bytes", jail.ADDRESS_SPACE_BYTES)))
    limits["RLIMIT_NPROC"] = 2 * options.max_workers + _SPARE_PROCESSES
    try:
        plan: dict[str, Any] = {
            "zygote": str(_FOLDER),
            "files": {},
            "executable": [],
            "mount_point": jail.mount_point([]),
            "limits": limits,
            "landlock_abi": LANDLOCK_ABI,
            "parent": os.getpid(),
            "portal": os.getpid(),
            "must": [],
            "without": list(options.extra.get("without", ())),
            "filter": zygote_filter().hex(),
            "child_filter": child_filter().hex(),
            "system_calls": system_calls(),
        }
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"the jail of CPython cannot be planned: {error}") from error
    return jail.prove(python, plan)


def _impossible(options: Options) -> str:
    if options.jail == "off":
        return "switched off"
    if sys.platform != "linux":
        return f"needs Linux, this is {platform.system()}"
    return "" if HAS_LIBSECCOMP else "libseccomp is not installed (Debian: libseccomp2)"
