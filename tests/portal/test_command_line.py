"""The `portal` command from outside: exit codes, one line for what an operator can mend, and a log without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import ROOT, free_port

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"


def python(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    environment |= {"PYTHONPATH": str(ROOT), "PORTAL_DATA_DIR": str(folder / "data")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every command below, run once."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "program.py").write_text("import notes\nlen((await notes.list_notes())['items'])", encoding="utf-8")
    port = str(free_port())
    commands = [
        {
            "arguments": arguments,
            "environment": {f"PORTAL_{key.upper()}": value for key, value in ({"port": port} | settings).items()},
        }
        for arguments, settings in COMMANDS.values()
    ]
    ran = python(folder, "-m", "tests.portal.commands", stdin=json.dumps(commands))
    assert ran.returncode == 0, ran.stderr
    return dict(zip(COMMANDS, (Done(**found) for found in json.loads(ran.stdout)), strict=True))


NOTES = {"upstreams__notes__module": "servers._template"}
COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "misspelt": (["check"], {"prot": "1"}),
    "open": (["serve"], {"host": "0.0.0.0"}),
    "public": (["serve"], {"public_url": "https://portal.example"}),
    "nobody": (["token"], {"auth__local_sign_in": "false"}),
    "database": (["check"], {"database_url": f"mysql://root:{SECRET}@db/x"}),
    "missing": (["run", "nowhere.py"], {}),
    "server": (["check"], NOTES | {"upstreams__notes__settings": '{"tokn": "' + SECRET + '"}'}),
    "demo": (["check"], NOTES | {"upstreams__notes__demo": "{}"}),
    "down": (["check"], {"upstreams__away__url": "http://127.0.0.1:1/mcp", "upstreams__away__token": SECRET}),
    "well": (["check"], NOTES),
    "run": (["run", "program.py"], NOTES),
    "search": (["search", "notes", "--limit", "1", "--server", "notes"], NOTES),
    "token": (["token"], {}),
    "sign-in": (["sign-in"], {}),
}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("misspelt", "portal: settings: PORTAL_PROT is not a setting; see docs/configuration.md"),
        ("open", "portal: issuer: must be https unless it is a loopback address"),
        ("public", "portal: local_sign_in: only for a loopback issuer"),
        ("nobody", "portal: local_sign_in: is off"),
        ("database", "portal: database_url"),
        ("missing", "portal: nowhere.py cannot be read: FileNotFoundError"),
        ("server", "portal: upstreams.notes.settings: tokn: Extra inputs are not permitted"),
        ("demo", "portal: upstreams.notes.demo: servers._template has no demo"),
    ],
)
def test_what_an_operator_can_mend_is_one_line_and_exit_code_2(done: dict[str, Done], command: str, says: str) -> None:
    found = done[command]
    assert found.code == 2, found.err
    assert found.err.startswith(says)
    assert len(found.err.splitlines()) == 1
    assert found.out == ""


def test_a_check_exits_with_1_when_an_upstream_is_down_and_else_with_0(done: dict[str, Done]) -> None:
    assert done["down"].code == 1
    assert "away: down (cannot be reached)" in done["down"].out
    assert done["well"].code == 0
    assert "notes: ready, 3 tools" in done["well"].out


def test_without_a_running_portal_commands_open_one(done: dict[str, Done]) -> None:
    assert done["run"].code == 0, done["run"].err
    assert done["run"].out.splitlines()[1] == "3"
    assert done["search"].code == 0
    assert "import notes" in done["search"].out


def test_a_token_and_a_link_are_all_that_their_commands_print(done: dict[str, Done]) -> None:
    assert done["token"].out.count(".") == 2
    assert done["token"].out.count("\n") == 1
    assert done["sign-in"].out.startswith("http://127.0.0.1:")
    assert done["token"].err == done["sign-in"].err == ""


def test_no_command_shows_a_secret(done: dict[str, Done]) -> None:
    assert all(SECRET not in found.out + found.err for found in done.values())


def test_an_address_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    program = (
        "import asyncio, socket\n"
        "from portal.settings import load, ConfigurationError\n"
        "from portal.serve import serve\n"
        "with socket.socket() as taken:\n"
        "    taken.bind(('127.0.0.1', 0)); taken.listen()\n"
        "    try:\n"
        "        asyncio.run(serve(load(port=taken.getsockname()[1]), print))\n"
        "    except ConfigurationError as error:\n"
        "        print(error)\n"
    )
    done = python(tmp_path, "-c", program)
    assert done.stdout.startswith("cannot listen on 127.0.0.1:")
    assert done.stdout.strip().endswith("PORTAL_PORT chooses another port")


LOGGING = """
import logging, sys
import structlog
from portal.log import configure
configure(sys.argv[1], "info")
structlog.get_logger("portal.x").info("from.structlog", upstream="far", count=2)
structlog.get_logger("portal.x").debug("not.shown")
logging.getLogger("shared_auth").info("from.stdlib", extra={"reason": "expired"})
logging.getLogger("servers.x").warning("tool failed", extra={"tool": "get_y", "error_id": "abc"})
logging.getLogger("a_library").info("library chatter")
logging.getLogger("a_library").warning("library warning %s", "here")
try:
    raise ValueError("inner")
except ValueError:
    structlog.get_logger("portal.x").exception("broke", error_id="def")
"""


def test_a_json_log_has_the_fields_of_both_kinds_of_logger(tmp_path: Path) -> None:
    done = python(tmp_path, "-c", LOGGING, "json")
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "from.structlog",
        "from.stdlib",
        "tool failed",
        "library warning here",
        "broke",
    ]
    ours, auth, server, library, broke = lines
    assert (ours["level"], ours["upstream"], ours["count"]) == ("info", "far", 2)
    assert (auth["level"], auth["reason"]) == ("info", "expired")
    assert (server["tool"], server["error_id"]) == ("get_y", "abc")
    assert library["level"] == "warning"
    assert "ValueError: inner" in broke["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_a_text_log_has_them_too(tmp_path: Path) -> None:
    said = python(tmp_path, "-c", LOGGING, "text").stderr
    for part in ("from.structlog", "upstream=far", "from.stdlib", "reason=expired", "library warning here", "inner"):
        assert part in said
    assert "not.shown" not in said
    assert "chatter" not in said
