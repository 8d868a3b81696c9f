"""Packages from npm, each set in a folder of its own under ``var/bench``, installed at first use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.running import ROOT

FOLDER = ROOT / "var" / "bench"
INSTALL_TIMEOUT_S = 600


class Unavailable(Exception):
    """Something from npm cannot be had here; the message says why."""


def installed(name: str, packages: Sequence[str]) -> Path:
    """Return the folder with the packages in ``node_modules``. Raises Unavailable."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Unavailable("Node and npm are not installed")
    folder = FOLDER / name
    stamp = folder / "installed"
    wanted = "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--no-save", *packages],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"npm cannot install {wanted}: {done.stderr.strip()[-300:]}")
    stamp.write_text(wanted)
    return folder


def run_script(name: str, packages: Sequence[str], script: str, stdin: str) -> str:
    """Return what a script writes that may require the packages. Raises Unavailable."""
    folder = installed(name, packages)
    done = subprocess.run(
        ["node", "-e", script],
        cwd=folder,
        input=stdin,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
