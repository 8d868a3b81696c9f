"""CPython's jail: every layer holds by itself, and with one missing no program runs on CPython at all."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portal.sandbox.contract import Limits, Options, SandboxUnavailable
from portal.sandbox.cpython.jail import open_zygote_jail
from portal.sandbox.cpython.sandbox import CPythonSandbox
from portal.sandbox.engines import FALLBACK, Engines
from portal.sandbox.jail import LAYERS
from tests.sandbox.conftest import DESK, Desk, children
from tests.sandbox.test_jail import RESTS, host, names, needs_jail

ROOT = Path(__file__).resolve().parents[2]


@needs_jail
def test_every_layer_holds() -> None:
    assert [layer for layer in open_zygote_jail(Options()).layers if not layer.active] == []


@needs_jail
@pytest.mark.parametrize("layer", [name for name in LAYERS if name not in {"empty environment", "closed descriptors"}])
def test_the_self_test_notices_a_layer_that_is_left_out_and_the_others_hold_without_it(layer: str) -> None:
    if layer == "unprivileged user" and os.geteuid() != 0:
        pytest.skip("already unprivileged")
    before = host()
    layers = open_zygote_jail(Options(extra={"without": [layer]})).layers
    assert {found.name for found in layers if not found.active} == {layer} | RESTS.get(layer, set())
    assert host() == before


@needs_jail
@pytest.mark.parametrize("layer", ["landlock", "seccomp", "parent-death signal"])
async def test_with_a_layer_missing_cpython_is_off_and_says_so(layer: str) -> None:
    options = Options(jail="degrade", engine="monty+cpython", min_workers=1, extra={"without": [layer]})
    async with Engines(options) as both:
        last = both.layers()[-1]
        assert (last.name, last.active) == (FALLBACK, False)
        assert layer in last.detail
        asked = await both.run("# engine: cpython\n1", [], Desk(), Limits())
        assert asked.failure is not None
        assert asked.failure.kind == "invalid"
        assert layer in asked.failure.message
        needed = await both.run("import statistics", [], Desk(), Limits())
        assert (needed.engine, needed.failure is None) == ("monty", False)


async def test_without_a_jail_there_is_no_cpython() -> None:
    async with CPythonSandbox(Options(jail="off")) as opened:
        assert {layer.detail for layer in opened.missing()} == {"switched off"}
        with pytest.raises(SandboxUnavailable, match="not open"):
            await opened.run("1", [], Desk(), Limits())


@needs_jail
async def test_a_child_has_nothing_of_ours() -> None:
    before = children()
    async with CPythonSandbox(Options(warm_children=2)) as opened:
        zygote = opened.zygote_pid
        assert zygote is not None
        assert children() - before == {zygote}
        forked = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        assert len(forked) == 2
        for pid in forked:
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            assert status["NoNewPrivs"] == "1"
            assert (status["Seccomp"], status["Seccomp_filters"]) == ("2", "2")
            assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
            if os.geteuid() == 0:
                assert status["Uid"].split() == ["65534"] * 4
                assert Path(f"/proc/{pid}/environ").read_bytes() == b""
                assert names(f"/proc/{pid}/fd") == ["0", "1", "2"]
                assert names(f"/proc/{pid}/root") == []
                for space in ("net", "ipc", "uts", "mnt", "user"):
                    assert Path(f"/proc/{pid}/ns/{space}").readlink() != Path(f"/proc/self/ns/{space}").readlink()
    assert children() == before


@needs_jail
async def test_a_killed_zygote_is_replaced_and_its_children_end_with_it() -> None:
    async with CPythonSandbox(Options(warm_children=1)) as opened:
        desk = Desk()
        first = opened.zygote_pid
        assert first is not None
        desk.gate.clear()
        running = asyncio.create_task(opened.run("import desk\nawait desk.block()", [DESK], desk, Limits()))
        await desk.blocked.wait()
        os.kill(first, signal.SIGKILL)
        outcome = await running
        assert outcome.failure is not None
        assert outcome.failure.kind == "crashed"
        assert (await opened.run("6 * 7", [], Desk(), Limits())).value == 42
        assert opened.zygote_pid not in {None, first}


@needs_jail
async def test_a_killed_child_costs_only_its_own_program() -> None:
    async with CPythonSandbox(Options(warm_children=2)) as opened:
        zygote = opened.zygote_pid
        for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split():
            handle = os.pidfd_open(int(pid))
            os.kill(int(pid), signal.SIGKILL)
            assert ended(handle)
        assert (await opened.run("6 * 7", [], Desk(), Limits())).value == 42
        assert opened.zygote_pid == zygote


LEAVING = """
import asyncio, os, signal
from pathlib import Path
from portal.sandbox.contract import Options
from portal.sandbox.cpython.sandbox import CPythonSandbox
async def main():
    async with CPythonSandbox(Options(warm_children=2)) as opened:
        zygote = opened.zygote_pid
        print(zygote, Path(f"/proc/{zygote}/task/{zygote}/children").read_text(), flush=True)
        input()
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@needs_jail
def test_zygote_and_children_end_with_a_portal_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVING], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as portal:
        assert portal.stdout is not None
        handles = [os.pidfd_open(int(pid)) for pid in portal.stdout.readline().split()]
        portal.communicate("go\n", timeout=30)
    assert portal.returncode == -9
    assert len(handles) == 3
    assert [ended(handle) for handle in handles] == [True] * 3


def ended(handle: int) -> bool:
    """Wait for the end of a process, within reason."""
    with os.fdopen(handle) as held:
        return bool(select.select([held], [], [], 20)[0])


AS_NOBODY = """
import asyncio, encodings.idna, os, sys
from portal.sandbox.contract import Limits, Options
from portal.sandbox.cpython.sandbox import CPythonSandbox
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
async def main():
    async with CPythonSandbox(Options(warm_children=1, extra={"python": sys.argv[1]})) as opened:
        print([layer.name for layer in opened.missing()])
        print((await opened.run("import statistics\\nstatistics.mean([40, 44])", [], None, Limits())).value)
asyncio.run(main())
"""


@needs_jail
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_an_unprivileged_user_gets_the_whole_jail() -> None:
    python = shutil.which("python3.11", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no such interpreter outside a home folder")
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, python], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "[]\n42\n"), done.stderr
