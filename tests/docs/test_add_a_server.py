"""The tutorial works as it is written: every snippet is taken from the page and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portal.mapping import declared_clients, vault_servers
from portal.settings import load
from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"^```python title=(\S+)( append)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house in which the tutorial was followed."""
    house = tmp_path_factory.mktemp("tutorial") / "house"
    skip = shutil.ignore_patterns("__pycache__", ".*", "var", "*.egg-info")
    for name in ("portal", "servers", "shared_auth", "catalog-info"):
        shutil.copytree(ROOT / name, house / name, ignore=skip)
    for name in ("portal.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, house / name)
    assert _in(house, "-m", "servers._kit.new", "library").returncode == 0
    page = (ROOT / "docs" / "add-a-server.md").read_text(encoding="utf-8")
    for path, append, text in SNIPPET.findall(page):
        target = house / path
        if append:
            target.write_text(target.read_text(encoding="utf-8") + "\n\n" + text, encoding="utf-8")
        else:
            target.write_text(text, encoding="utf-8")
    # Only the new server: what it needs must be in its own folder and entry.
    entry = (house / "portal.toml").read_text(encoding="utf-8").split("[upstreams.library]")[1]
    (house / "portal.toml").write_text("[upstreams.library]" + entry, encoding="utf-8")
    return house


def _in(house: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_")}
    environment |= {"PYTHONPATH": str(house), "PORTAL_PORT": "1"}  # nothing listens there: never a portal that runs
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=house,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_new_server_and_its_tests_pass(house: Path) -> None:
    done = _in(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "servers/library", "-k", "not contract")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* passed", done.stdout)


def test_the_contract_test_asks_for_the_new_tool(house: Path) -> None:
    done = _in(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", "servers/library", "-k", "contract")
    assert "count_notes" in done.stdout


def test_the_new_tool_is_found_and_runs(house: Path) -> None:
    found = _in(house, "-m", "portal.cli", "search", "count notes")
    assert "count_notes" in found.stdout, found.stderr
    program = 'import library; await library.count_notes(query="deploy")'
    ran = _in(house, "-m", "portal.cli", "run", "-", stdin=program)
    assert '"count": 1' in ran.stdout, ran.stdout + ran.stderr


def test_the_settings_for_peoples_accounts_are_settings(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-server.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (person,) = [block for block in blocks if "credential" in block]
    (client,) = [block for block in blocks if "auth.clients" in block]
    config = tmp_path / "portal.toml"
    config.write_text(person + client.replace("…", "a" * 64), encoding="utf-8")
    settings = load(config)
    (server,) = vault_servers(settings)
    assert server.vendor is not None
    assert (server.vendor.client_id, server.vendor.client_secret) == (CLIENT_ID, CLIENT_SECRET)
    assert declared_clients(settings)[0].server == "library"


@pytest.mark.parametrize("name", ["Bad", "1st", "class", "json", "_x", "a-b", ""])
def test_a_name_that_programs_could_not_import_is_refused(house: Path, name: str) -> None:
    done = _in(house, "-m", "servers._kit.new", name)
    assert done.returncode == 1
    assert done.stderr.startswith("new-server: ")
