"""The kernel jail: every layer holds by itself, for root and for an unprivileged user, and a missing one is named."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portal.sandbox.contract import Limits, Options, SandboxUnavailable
from portal.sandbox.jail import LAYERS, open_jail
from portal.sandbox.monty import MontySandbox
from tests.sandbox.conftest import DESK, Desk, children

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def whole_jail() -> bool:
    return sys.platform == "linux" and all(layer.active for layer in open_jail(Options(jail="degrade")).layers)


needs_jail = pytest.mark.skipif(not whole_jail(), reason="this kernel or container does not offer every layer")


@needs_jail
async def test_programs_and_checks_run_in_the_whole_jail() -> None:
    async with MontySandbox(Options(jail="require", min_workers=1)) as opened:
        assert [layer.name for layer in opened.layers()] == list(LAYERS)
        outcome = await opened.run("import desk\nawait desk.echo([1])", [DESK], Desk(), Limits())
        assert outcome.value == [1]
        assert [found.line for found in await opened.check("import desk\nnothing", [DESK])] == [2]


# Without a layer, what rests on it falls too; nothing else does.
RESTS = {
    "no new privileges": {"landlock", "seccomp"},
    "network, ipc, uts and mount namespaces": {"empty root"},
}


@needs_jail
@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "empty environment"])
def test_the_self_test_notices_a_layer_that_is_left_out_and_the_others_hold_without_it(layer: str) -> None:
    if layer == "unprivileged user" and os.geteuid() != 0:
        pytest.skip("already unprivileged")
    layers = open_jail(Options(jail="degrade", extra={"without": [layer]})).layers
    assert {found.name for found in layers if not found.active} == {layer} | RESTS.get(layer, set())


@needs_jail
def test_without_any_layer_the_self_test_breaks_out_and_changes_nothing() -> None:
    before = host()
    layers = open_jail(Options(jail="degrade", extra={"without": list(LAYERS)})).layers
    assert {(found.active, found.detail) for found in layers} == {(False, "the self-test could run another program")}
    assert host() == before


@needs_jail
@pytest.mark.parametrize("layer", ["landlock", "seccomp", "empty root"])
async def test_require_refuses_to_start_and_names_the_missing_layer(layer: str) -> None:
    with pytest.raises(SandboxUnavailable, match=layer):
        async with MontySandbox(Options(jail="require", extra={"without": [layer]})):
            pass


@needs_jail
async def test_degrade_goes_on_and_reports_the_missing_layer() -> None:
    async with MontySandbox(Options(jail="degrade", min_workers=1, extra={"without": ["landlock"]})) as opened:
        assert [layer.name for layer in opened.layers() if not layer.active] == ["landlock"]
        assert (await opened.run("1 + 1", [], Desk(), Limits())).value == 2


@needs_jail
def test_a_worker_that_loses_a_layer_refuses_to_run() -> None:
    jail = open_jail(Options(jail="degrade"))
    *command, plan = jail.command
    broken = json.loads(plan) | {"filter": "00" * 8}
    done = subprocess.run(
        [*command, json.dumps(broken)], check=False, env={}, capture_output=True, stdin=subprocess.DEVNULL, timeout=20
    )
    assert done.returncode == 97
    assert done.stdout == b""


@needs_jail
async def test_a_jailed_worker_has_nothing_of_ours(tmp_path: Path) -> None:
    before = children()
    async with MontySandbox(Options(jail="require", min_workers=2)):
        workers = children() - before
        assert len(workers) == 3
        for pid in workers:
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            assert status["Name"] == "monty"
            assert status["NoNewPrivs"] == "1"
            assert status["Seccomp"] == "2"
            assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
            if os.geteuid() == 0:
                assert status["Uid"].split() == [str(NOBODY)] * 4
                assert Path(f"/proc/{pid}/environ").read_bytes() == b""
                assert names(f"/proc/{pid}/fd") == ["0", "1", "2"]
                assert set(names(f"/proc/{pid}/root")) <= {"monty", "lib", "lib64", "usr"}
                for space in ("net", "ipc", "uts", "mnt", "user"):
                    assert Path(f"/proc/{pid}/ns/{space}").readlink() != Path(f"/proc/self/ns/{space}").readlink()
    assert children() == before


AS_NOBODY = """
import asyncio, encodings.idna, os, sys
from portal.sandbox.contract import Limits, Options
from portal.sandbox.monty import MontySandbox
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
async def main():
    extra = {"python": sys.argv[1], "monty": sys.argv[2]}
    async with MontySandbox(Options(jail="require", min_workers=1, extra=extra)) as opened:
        assert all(layer.active for layer in opened.layers())
        print((await opened.run("6 * 7", [], None, Limits())).value, len(await opened.check("nothing", [])))
asyncio.run(main())
"""


@needs_jail
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_an_unprivileged_user_gets_the_whole_jail(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no interpreter outside a home folder")
    folder = Path("/var/tmp") / tmp_path.name
    folder.mkdir(mode=0o755)
    try:
        monty = Path(json.loads(open_jail(Options(jail="degrade")).command[-1])["files"]["/monty"])
        shutil.copy(monty, folder / "monty")
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, python, str(folder / "monty")],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        shutil.rmtree(folder)
    assert (done.returncode, done.stdout) == (0, "42 1\n"), done.stderr


def test_without_a_jail_every_layer_is_reported_as_off() -> None:
    assert [(layer.active, layer.detail) for layer in open_jail(Options(jail="off")).layers] == [
        (False, "switched off")
    ] * len(LAYERS)


async def test_a_missing_worker_program_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match="nowhere"):
        async with MontySandbox(Options(jail="off", extra={"monty": "/nowhere/monty"})):
            pass


async def test_a_program_that_is_no_worker_is_not_taken_for_one() -> None:
    with pytest.raises(SandboxUnavailable, match="did not start"):
        async with MontySandbox(Options(jail="off", min_workers=1, extra={"monty": "/bin/true"})):
            pass


def host() -> tuple[str, str, list[str]]:
    """What an attempt that got through might have changed: the host's name, its mounts, its root folder."""
    return socket.gethostname(), Path("/proc/self/mountinfo").read_text(), names("/")


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_machine_without_libseccomp_degrades_and_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pyseccomp.py").write_text("raise RuntimeError('Unable to find libseccomp')")
    program = (
        "import asyncio\n"
        "from portal.sandbox.contract import Limits, Options\n"
        "from portal.sandbox.monty import MontySandbox\n"
        "async def main():\n"
        "    async with MontySandbox(Options(jail='degrade', min_workers=1)) as sandbox:\n"
        "        print((await sandbox.run('6 * 7', [], None, Limits())).value)\n"
        "        print(all('libseccomp2' in layer.detail for layer in sandbox.layers()))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split()[-2:] == ["42", "True"], done.stderr


@needs_jail
async def test_a_worker_program_in_a_temporary_folder_is_not_hidden_by_its_own_jail(tmp_path: Path) -> None:
    monty = Path(json.loads(open_jail(Options(jail="degrade")).command[-1])["files"]["/monty"])
    folder = Path("/tmp") / f"mcp-portal-{tmp_path.name}"
    folder.mkdir(mode=0o755)
    try:
        shutil.copy(monty, folder / "monty")
        options = Options(jail="require", min_workers=1, extra={"monty": str(folder / "monty")})
        async with MontySandbox(options) as opened:
            assert (await opened.run("6 * 7", [], Desk(), Limits())).value == 42
    finally:
        shutil.rmtree(folder)
