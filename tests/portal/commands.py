"""Runs `portal` many times in one process, so that a test of twenty commands loads Python once.

Reads a JSON list of ``{"arguments", "environment"}`` from standard input; writes one of ``{"code", "out", "err"}``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any

from portal.cli import main


def run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Return the exit code and the output of one command."""
    sys.argv = ["portal", *arguments]
    before = dict(os.environ)
    os.environ.update(environment)
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as left:
        code = left.code or 0
    finally:
        os.environ.clear()
        os.environ.update(before)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    print(json.dumps([run(**command) for command in json.load(sys.stdin)]))
