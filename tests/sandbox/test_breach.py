"""A worker that has been taken over: each layer of each jail stops by itself what it is there to stop, and all together.

Native code tries every act of acts.py twice: beside the layer's absence it gets through, with the layer and nothing that
could refuse in its stead it does not. As root and as an unprivileged user, where there is one to become.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from portal.sandbox.jail import LAYERS
from tests.sandbox.acts import ACTS, DONE, SYSTEM_PYTHON
from tests.sandbox.breach import HAS_CODE, JAILS
from tests.sandbox.test_jail import needs_jail

ROOT = Path(__file__).resolve().parents[2]
USERS = ("root", "nobody") if os.geteuid() == 0 else ("nobody",)
ELSEWHERE = {"empty environment"}
"""Not a matter of system calls: test_a_worker_inherits_no_environment."""

pytestmark = [needs_jail, pytest.mark.skipif(not HAS_CODE, reason="the native code is written for x86-64")]


@cache
def started() -> dict[str, subprocess.Popen[str]]:
    """All users at once: most of the time is spent waiting."""
    users = [user for user in USERS if os.geteuid() != 0 or user == "root" or Path(SYSTEM_PYTHON).exists()]
    return {
        user: subprocess.Popen(
            [sys.executable, "-m", "tests.sandbox.acts", user], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for user in users
    }


@cache
def found(user: str) -> dict[str, dict[str, dict[str, list[str]]]]:
    process = started().get(user)
    if process is None:
        pytest.skip(f"nobody can read no interpreter here: {SYSTEM_PYTHON} is missing")
    said, _ = process.communicate(timeout=300)
    report: dict[str, dict[str, dict[str, list[str]]]] = json.loads(said)
    return report


@pytest.mark.parametrize("layer", [*ACTS, "sweep"])
@pytest.mark.parametrize("jail", JAILS)
@pytest.mark.parametrize("user", USERS)
def test_a_layer_stops_by_itself_what_gets_through_without_it(user: str, jail: str, layer: str) -> None:
    if layer in ACTS and ACTS[layer].for_root and user != "root":
        pytest.skip("refused to an unprivileged user anyway")
    acts = found(user)[jail][layer]
    assert acts
    assert {act: without for act, (without, _) in acts.items() if without != DONE} == {}
    assert {act: alone for act, (_, alone) in acts.items() if alone == DONE} == {}
    if layer == "sweep":
        assert [alone for _, alone in acts.values()] == ["refused"]


@pytest.mark.parametrize("jail", JAILS)
@pytest.mark.parametrize("user", USERS)
def test_in_the_whole_jail_nothing_gets_through(user: str, jail: str) -> None:
    acts = found(user)[jail]["all"]
    assert len(acts) > 40
    assert {act: whole for act, (_, whole) in acts.items() if whole == DONE} == {}


def test_every_layer_is_tried() -> None:
    assert ACTS.keys() | ELSEWHERE == set(LAYERS)


ENVIRONMENT = """
import asyncio, os, sys
from concurrent.futures import ThreadPoolExecutor
from portal.sandbox.contract import Options
from portal.sandbox.cpython.forks import Zygote
from portal.sandbox.cpython.jail import open_zygote_jail
from portal.sandbox.jail import open_jail
from portal.sandbox.worker import _spawn
os.environ["BAIT"] = "secret"
process, ours = _spawn(open_jail(Options()).command, True)
zygote = Zygote(open_zygote_jail(Options()))
child, line = zygote.fork()
for pid in (process.pid, child.pid):
    while pid == process.pid and "monty" not in open(f"/proc/{pid}/comm").read(): pass
    print(open(f"/proc/{pid}/environ", "rb").read())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into another user's process")
def test_a_worker_inherits_no_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENVIRONMENT], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("b''\nb''\n", 0), done.stderr
