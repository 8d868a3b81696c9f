"""A server as a process of its own refuses to start with what would be unsafe, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from servers._kit.serve import main

GOOD = ["--issuer", "https://portal.example", "--resource", "https://notes.example/mcp"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["servers.nothing", *GOOD], "cannot be imported"),
        (["servers._template", *GOOD[:2], "--resource", "http://notes.example/mcp"], "https"),
        (["servers._template", "--issuer", "http://portal.example", *GOOD[2:]], "https"),
        (["servers._template", *GOOD, "--settings", "{folder}/wrong.toml"], "settings"),
        (["servers._template", *GOOD, "--settings", "{folder}/broken.toml"], "serve:"),
        (["servers._template", *GOOD, "--settings", "{folder}/absent.toml"], "serve:"),
        (["servers._template", *GOOD, "--client-id", "notes"], "give both or none"),
        (["servers._template", *GOOD, "--client-secret-file", "{folder}/secret"], "give both or none"),
        (["servers._template", *GOOD, "--client-id", "notes", "--client-secret-file", "{folder}/absent"], "serve:"),
        (["servers.prometheus", *GOOD, "--client-id", "notes", "--client-secret-file", "{folder}/secret"], "without"),
    ],
)
def test_a_start_that_cannot_work_says_what_to_change(tmp_path: Path, arguments: Any, says: str) -> None:
    (tmp_path / "wrong.toml").write_text('nobody_knows_this = "s3cret"', encoding="utf-8")
    (tmp_path / "secret").write_text("s3cret", encoding="utf-8")
    (tmp_path / "broken.toml").write_text("= = =", encoding="utf-8")
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, [argument.format(folder=tmp_path) for argument in arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert "s3cret" not in result.output
