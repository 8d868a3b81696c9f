"""`portal revoke` ends nothing unless it was said plainly whom it is about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("arguments", [[], ["--all", "--subject", "x"], ["--all", "--client", "x"]])
def test_whom_to_revoke_must_be_said_plainly(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "portal.cli", "revoke", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--subject" in done.stderr
