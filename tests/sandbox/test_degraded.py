"""Machines that offer less than the jail needs: `require` says what is missing and stays down, `degrade` says so and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.sandbox.jail import LAYERS
from tests import running
from tests.sandbox.degraded import HOSTS
from tests.sandbox.test_jail import needs_jail

pytestmark = needs_jail
CONFIG = '[sandbox]\njail = "{}"\nmin_workers = 1\n'


def command(host: str, folder: Path, jail: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "portal.toml").write_text(CONFIG.format(jail))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    environment |= {"PORTAL_PORT": str(running.free_port()), "PORTAL_DATA_DIR": str(folder / "data")}
    environment |= {"PORTAL_CONFIG": str(folder / "portal.toml")}
    return subprocess.run(
        [sys.executable, "-m", "tests.sandbox.degraded", host, *arguments],
        check=False,
        cwd=running.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@contextmanager
def serving(host: str, folder: Path) -> Iterator[running.Running]:
    """A portal that serves on such a machine."""
    start = subprocess.Popen

    def there(arguments: list[str], **rest: object) -> subprocess.Popen[str]:
        return start([arguments[0], "-m", "tests.sandbox.degraded", host, *arguments[3:]], **rest)  # type: ignore[call-overload, no-any-return]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", there)
        with running.portal(folder, CONFIG.format("degrade")) as portal:
            patch.undo()
            yield portal


SANDBOX = """
import asyncio, json, sys
import structlog
from portal.sandbox.contract import Limits, Options, SandboxUnavailable
from portal.sandbox.engines import Engines
from tests.sandbox.degraded import HOSTS

async def main():
    found = {}
    try:
        async with Engines(Options(jail="require", engine="monty+cpython", min_workers=1)):
            found["required"] = "it started"
    except SandboxUnavailable as error:
        found["required"] = str(error)
    with structlog.testing.capture_logs() as logs:
        async with Engines(Options(jail="degrade", engine="monty+cpython", min_workers=1)) as both:
            found["layers"] = [layer.name for layer in both.layers() if not layer.active]
            found["value"] = (await both.run("6 * 7", [], None, Limits())).value
            found["asked"] = (await both.run("# engine: cpython\\n1", [], None, Limits())).failure.message
    found["logs"] = {entry["event"]: entry["missing"] for entry in logs}
    print(json.dumps(found))

HOSTS[sys.argv[1]][0]()
asyncio.run(main())
"""


@pytest.mark.parametrize("host", HOSTS)
def test_require_stays_down_and_degrade_runs_and_both_name_each_missing_layer(host: str) -> None:
    missing = HOSTS[host][1]
    done = subprocess.run(
        [sys.executable, "-c", SANDBOX, host],
        check=False,
        cwd=running.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["required"].startswith("the sandbox is not safe here; missing: ")
    assert named(found["required"]) == missing
    assert set(found["layers"]) == missing | {"cpython fallback"}
    assert found["value"] == 42
    assert found["asked"].startswith("CPython is not available here: its jail lacks")
    assert named(found["asked"]) == missing
    assert {event: named(said) for event, said in found["logs"].items()} == {
        "sandbox_degraded": missing,
        "cpython_off": missing,
    }


def named(text: str) -> set[str]:
    return {layer for layer in LAYERS if layer in text}


HOST = "no new namespaces"
MISSING = set(HOSTS[HOST][1])


def test_a_portal_that_requires_the_jail_does_not_start(tmp_path: Path) -> None:
    done = command(HOST, tmp_path, "require", "serve")
    assert (done.returncode, named(done.stderr.splitlines()[-1])) == (2, MISSING), done
    assert "mcp:" not in done.stdout


def test_a_degraded_portal_serves_and_warns(tmp_path: Path) -> None:
    with serving(HOST, tmp_path) as portal:
        (tmp_path / "program.py").write_text("6 * 7")
        assert "42" in portal.command("run", str(tmp_path / "program.py")).stdout
        log = portal.log.read_text()
    assert named(next(line for line in log.splitlines() if "sandbox_degraded" in line)) == MISSING
    banner = "\n".join(line for line in log.splitlines() if line.startswith("warning: sandbox layer "))
    assert named(banner.partition("cpython fallback")[0]) == MISSING


def test_check_marks_each_missing_layer(tmp_path: Path) -> None:
    done = command(HOST, tmp_path, "degrade", "check")
    assert done.returncode == 0, done
    layers = done.stdout.partition("sandbox layers\n")[2].splitlines()
    marked = {line.strip().partition(":")[0] for line in layers if ": MISSING (" in line}
    assert marked == MISSING | {"cpython fallback"}
