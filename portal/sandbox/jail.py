"""The kernel jail around a worker: planned and proven here, entered in jail_entry.py, attacked in jail_probe.py.

``open_jail`` tries to break out of the jail on this machine, now; nothing is remembered from an earlier start. A layer
that held becomes one that must hold: a worker that loses it refuses to run.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.sandbox.contract import Layer, Options, SandboxUnavailable
from portal.sandbox.elf import needed_files

try:
    # Loads the library at once, and some machines do not have it.
    from portal.sandbox.filter import export_filter, system_calls
except (ImportError, OSError, RuntimeError):
    HAS_LIBSECCOMP = False
else:
    HAS_LIBSECCOMP = True

LAYERS = (
    "unprivileged user",
    "user namespace",
    "network, ipc, uts and mount namespaces",
    "empty root",
    "no new privileges",
    "no capabilities",
    "resource limits",
    "landlock",
    "seccomp",
    "closed descriptors",
    "empty environment",
    "parent-death signal",
)
ADDRESS_SPACE_BYTES = 1 << 30
LANDLOCK_ABI = 6
"""The version that confines files, TCP, abstract sockets and signals."""

_PROBE_TIMEOUT_S = 15.0
_SPACES = ("user", "net", "ipc", "uts", "mnt")
_PROBE_RAN_A_PROGRAM = 99
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Jail:
    """How to start a worker, and which layers stand around it. ``launcher``: the command enters the jail by itself."""

    command: tuple[str, ...]
    layers: tuple[Layer, ...]
    launcher: bool


def open_jail(options: Options) -> Jail:
    """Plan the jail and attack it. Blocks for some 100 ms. Raises SandboxUnavailable without a worker program.

    ``options.extra`` may name another ``monty`` program and another ``python`` to enter the jail with (any Python 3.9
    or newer that the service's user may read), ``address_space_bytes`` of a worker, and layers to do ``without``, which
    then count as missing: so that each layer can be shown to hold by itself.
    """
    monty = Path(options.extra.get("monty") or _find_monty())
    bare = (str(monty), "subprocess")
    if options.jail == "off":
        return Jail(bare, tuple(Layer(name, active=False, detail="switched off") for name in LAYERS), launcher=False)
    if sys.platform != "linux":
        why = f"needs Linux, this is {platform.system()}"
        return Jail(bare, tuple(Layer(name, active=False, detail=why) for name in LAYERS), launcher=False)
    if not HAS_LIBSECCOMP:
        why = "libseccomp is not installed (Debian: libseccomp2)"
        return Jail(bare, tuple(Layer(name, active=False, detail=why) for name in LAYERS), launcher=False)
    python = str(options.extra.get("python") or sys.executable)
    try:
        plan = _plan(monty, int(options.extra.get("address_space_bytes", ADDRESS_SPACE_BYTES)))
        plan |= {"filter": export_filter().hex(), "system_calls": system_calls()}
        plan["without"] = list(options.extra.get("without", ()))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"the jail cannot be planned: {error}") from error
    return prove(python, plan)


def prove(python: str, plan: dict[str, Any]) -> Jail:
    """Attack the jail that ``plan`` describes; return it with the layers that held. Blocks for some 100 ms."""
    holes = _attack(python, plan)
    layers = tuple(Layer(name, name not in holes, holes.get(name, "")) for name in LAYERS)
    plan["must"] = [layer.name for layer in layers if layer.active]
    return Jail((*_command(python), json.dumps(plan)), layers, launcher=True)


def limits(address_space_bytes: int) -> dict[str, int]:
    """Return the resource limits of a worker by name, the same as soft and as hard limit."""
    return {
        "RLIMIT_AS": address_space_bytes,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 16,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_NPROC": 16 + 2 * (os.cpu_count() or 1),
    }


def _command(python: str) -> tuple[str, ...]:
    # -I -S: no environment, no site, no user packages: nothing but the standard library, in the shortest time.
    return python, "-I", "-S", str(_HERE / "jail_entry.py")


def _plan(monty: Path, address_space_bytes: int) -> dict[str, Any]:
    interpreter, libraries = needed_files(monty)
    files = {path: str(Path(path).resolve()) for path in libraries}
    files[interpreter] = str(Path(interpreter).resolve())
    files["/monty"] = str(monty.resolve())
    return {
        "files": files,
        "executable": ["/monty", interpreter],
        "mount_point": mount_point(files.values()),
        "limits": limits(address_space_bytes),
        "landlock_abi": LANDLOCK_ABI,
        "parent": os.getpid(),
        "portal": os.getpid(),
        "must": [],
        "without": [],
    }


def mount_point(files: Iterable[str]) -> str:
    """Return a folder to put the empty root on, in the jail's own namespace, where it hides none of ``files``."""
    files = tuple(files)
    for folder in ("/tmp", "/dev", "/run", "/var"):  # noqa: S108 - covered, not used
        if Path(folder).is_dir() and not any(file.startswith(f"{folder}/") for file in files):
            return folder
    raise OSError("every folder that could be covered holds a file of the worker")


def _attack(python: str, plan: dict[str, Any]) -> dict[str, str]:
    """Run the probe in the jail; return for each layer that does not hold what got through it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bait:
        bait.bind(("127.0.0.1", 0))
        spaces = {space: str(Path(f"/proc/self/ns/{space}").readlink()) for space in _SPACES}
        baits = {"bait_port": bait.getsockname()[1], "bait_file": str(_HERE / "jail_probe.py"), "host_spaces": spaces}
        command = [*_command(python), json.dumps(plan | baits), str(_HERE / "jail_probe.py")]
        try:
            done = subprocess.run(command, env={}, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False, cwd="/")  # noqa: S603 - ours
            holes = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            return dict.fromkeys(LAYERS, f"the self-test did not end within {_PROBE_TIMEOUT_S:g} s")
        except OSError as error:
            return dict.fromkeys(LAYERS, f"the self-test did not run: {error}")
        except ValueError:
            if done.returncode == _PROBE_RAN_A_PROGRAM:
                return dict.fromkeys(LAYERS, "the self-test could run another program")
            said = done.stderr.decode("utf-8", "replace").strip()[-300:]
            return dict.fromkeys(LAYERS, f"the self-test ended early (exit {done.returncode}): {said}")
    return {str(layer): str(why) for layer, why in holes.items()}


def _find_monty() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "monty"
    found = str(beside) if beside.is_file() else shutil.which("monty")
    if found is None:
        raise SandboxUnavailable("the worker program `monty` is missing; install pydantic-monty-runtime")
    return found
