"""The note of a running portal: its owner's alone, whole, believed only as what a portal of ours left, and taken away."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portal import remote
from portal.settings import PortalSettings, address_in_environment
from portal.whereabouts import MAX_BYTES, noted, noted_address

pytestmark = pytest.mark.usefixtures("alone")

ADDRESS = "http://127.0.0.1:8391"
NAME = "running.json"


def note(**changed: object) -> str:
    return json.dumps({"address": ADDRESS, "pid": os.getpid()} | changed)


def leave(folder: Path, text: str) -> None:
    (folder / NAME).write_text(text, encoding="utf-8")
    (folder / NAME).chmod(0o600)


def gone() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_note_is_its_owners_alone_and_is_taken_away(tmp_path: Path) -> None:
    with noted(tmp_path, ADDRESS):
        assert noted_address(tmp_path) == ADDRESS
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
        assert json.loads((tmp_path / NAME).read_text()) == {"address": ADDRESS, "pid": os.getpid()}
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert not list(tmp_path.iterdir())
    assert noted_address(tmp_path) is None


def test_the_last_that_started_is_found_and_keeps_its_note(tmp_path: Path) -> None:
    with noted(tmp_path, ADDRESS):
        with noted(tmp_path, "http://localhost:8392"):
            assert noted_address(tmp_path) == "http://localhost:8392"
        assert noted_address(tmp_path) is None
    with noted(tmp_path, ADDRESS):
        leave(tmp_path, note(address="http://[::1]:8393"))
    assert noted_address(tmp_path) == "http://[::1]:8393"


def test_a_link_that_lies_there_is_replaced_and_what_it_names_untouched(tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("mine")
    (tmp_path / NAME).symlink_to(named)
    with noted(tmp_path, ADDRESS):
        assert not (tmp_path / NAME).is_symlink()
    assert named.read_text() == "mine"


def test_a_portal_that_cannot_leave_a_note_runs_without(tmp_path: Path) -> None:
    with noted(tmp_path / "missing", ADDRESS):
        assert noted_address(tmp_path / "missing") is None
    (tmp_path / NAME).mkdir()
    with noted(tmp_path, ADDRESS):
        assert noted_address(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        note(pid="1"),
        note(pid=0),
        note(pid=-1),
        note(pid=2**70),
        note(more=1),
        json.dumps({"address": ADDRESS}),
        note(address=["http://127.0.0.1"]),
        note(address="https://portal.example"),
        note(address="http://127.0.0.1.evil.example:1"),
        note(address="http://127.0.0.1:1@evil.example"),
        note(address="http://evil.example:8391"),
        note(address="//127.0.0.1:1"),
        note(address="file:///etc/passwd"),
        note(address="http://127.0.0.1:1/path"),
        note(address="http://127.0.0.1:1?query"),
        note(address="http://127.0.0.1:99999999"),
        note() + " " * MAX_BYTES,
    ],
)
def test_what_no_portal_of_this_machine_left_is_not_believed(tmp_path: Path, text: str) -> None:
    leave(tmp_path, note())
    assert noted_address(tmp_path) == ADDRESS
    leave(tmp_path, text)
    assert noted_address(tmp_path) is None


def test_a_note_of_a_process_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    leave(tmp_path, note(pid=gone()))
    assert noted_address(tmp_path) is None


def test_the_number_of_a_process_of_somebody_else_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    leave(tmp_path, note())
    monkeypatch.setattr(os, "kill", refuse)
    assert noted_address(tmp_path) is None


def test_a_link_a_pipe_and_a_note_that_others_may_write_are_not_believed(tmp_path: Path) -> None:
    leave(tmp_path, note())
    (tmp_path / NAME).chmod(0o620)
    assert noted_address(tmp_path) is None
    (tmp_path / NAME).chmod(0o600)
    (tmp_path / NAME).rename(tmp_path / "elsewhere")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    assert noted_address(tmp_path) is None
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME, 0o600)
    assert noted_address(tmp_path) is None


def test_a_note_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path, note())
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    assert noted_address(tmp_path) is None


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("PORTAL_PORT", True),
        ("portal_host", True),
        ("PORTAL_PUBLIC_URL", True),
        ("PORTAL_DATA_DIR", False),
        ("PORT", False),
    ],
)
def test_an_address_in_the_environment_is_known_by_its_names(
    monkeypatch: pytest.MonkeyPatch, variable: str, names: bool
) -> None:
    assert not address_in_environment()
    monkeypatch.setenv(variable, "1")
    assert address_in_environment() is names


async def test_a_portal_that_does_not_answer_where_it_is_noted_is_not_found(tmp_path: Path) -> None:
    leave(tmp_path, note(address="http://127.0.0.1:1"))
    assert await remote.running(PortalSettings(data_dir=tmp_path, port=1)) is None
