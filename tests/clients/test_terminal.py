"""Commands in a terminal of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.asking import eventually
from tests.clients.terminal import COLUMNS, plain, run

PLENTY_S = 60.0


def test_a_command_sees_a_terminal_that_is_wide_enough_for_a_link(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.isatty(), sys.stdout.isatty(), os.get_terminal_size().columns)"
    ended = run([sys.executable, "-c", code], tmp_path, {}, timeout_s=PLENTY_S)
    assert (ended.text.strip(), ended.code) == (f"True True {COLUMNS}", 0)


def test_a_command_gets_exactly_the_environment_and_folder_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMETHING_OF_OURS", "secret")
    ended = run(["/usr/bin/env"], tmp_path, {"ONLY": "this"}, timeout_s=PLENTY_S)
    assert ended.text.split() == ["ONLY=this"]
    assert run(["/bin/pwd"], tmp_path, {}, timeout_s=PLENTY_S).text.strip() == str(tmp_path)


def test_what_is_typed_reaches_it_and_its_exit_code_is_told(tmp_path: Path) -> None:
    ended = run(["/bin/sh", "-c", "read word; echo got-$word; exit 7"], tmp_path, {}, timeout_s=PLENTY_S, typed="hi\n")
    assert "got-hi" in ended.text
    assert ended.code == 7


def test_one_that_has_done_its_work_is_stopped_with_everything_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 300 & echo child=$!.; wait"
    ended = run(["/bin/sh", "-c", script], tmp_path, {}, timeout_s=PLENTY_S, watch=lambda text: "." in text)
    child = int(ended.text.partition("child=")[2].partition(".")[0])
    assert ended.code is None
    assert eventually(lambda: not alive(child))


def test_a_process_that_left_for_a_session_of_its_own_is_ended_too(tmp_path: Path) -> None:
    code = (
        "import subprocess as s, time\n"
        "child = s.Popen(['/bin/sleep', '300'], start_new_session=True, stdout=s.DEVNULL, stderr=s.DEVNULL)\n"
        "print(f'child={child.pid}.', flush=True)"
    )
    environment = {"HOME": str(tmp_path)}
    ended = run([sys.executable, "-c", code], tmp_path, environment, timeout_s=PLENTY_S)
    child = int(ended.text.partition("child=")[2].partition(".")[0])
    assert ended.code == 0
    assert eventually(lambda: not alive(child))


def test_our_own_home_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a home of its own"):
        run(["/usr/bin/touch", "started"], tmp_path, {"HOME": str(Path.home())}, timeout_s=PLENTY_S)
    assert not (tmp_path / "started").exists()


def test_one_that_takes_too_long_is_stopped_and_has_no_exit_code(tmp_path: Path) -> None:
    assert run(["/bin/sleep", "300"], tmp_path, {}, timeout_s=0.2).code is None


def test_text_is_what_a_person_reads() -> None:
    raw = b"\x1b7\x1b[1;32m\xe2\x9c\x94\x1b[0m\x1b[10GConnected\x1b[2Cnow\x1b]0;title\x07\x1b[?25h\r\ndone\r\n"
    assert plain(raw) == "✔ Connected now\ndone\n"


def alive(process: int) -> bool:
    """Say whether it runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
