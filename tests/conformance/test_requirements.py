"""shared_auth/REQUIREMENTS.md and the tests agree, both ways: no promise without a test, no test for what nobody promised."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from portal.evidence import ROOT, named
from portal.guards import GUARDS
from shared_auth.requirements import read, requirements

PROMISED = requirements()
NAMED = named(ROOT / "tests")


@pytest.mark.parametrize("name", PROMISED)
def test_what_is_held_is_named_by_a_test_and_what_is_not_says_why(name: str) -> None:
    one = PROMISED[name]
    assert bool(one.deviation) != bool(NAMED.get(name)), "a test that names it, or a reason in the last column"
    assert len(one.deviation) == 0 or len(one.deviation) > 40


def test_no_test_names_what_is_not_promised() -> None:
    assert set(NAMED) <= set(PROMISED)
    assert {name for _, ids in GUARDS.values() for name in ids.split()} <= set(PROMISED)


def test_pytest_runs_what_is_named_and_nothing_else(request: pytest.FixtureRequest) -> None:
    """Of the files of this run: reading them and collecting them find the same."""
    runs = {
        (str(name), f"{item.path.relative_to(ROOT).as_posix()}::{getattr(item, 'originalname', item.name)}")
        for item in request.session.items
        for mark in item.iter_markers("requirement")
        for name in mark.args
    }
    reads = {(name, test) for name, tests in NAMED.items() for test in tests}
    assert runs <= reads
    option = request.config.option
    if not (option.keyword or option.markexpr or option.lf or option.deselect or "::" in "".join(request.config.args)):
        files = {item.path.relative_to(ROOT).as_posix() for item in request.session.items}
        assert {(name, test) for name, test in reads if test.partition("::")[0] in files} <= runs


def test_a_mark_that_reading_cannot_follow_is_refused(tmp_path: Path) -> None:
    for text in (
        "import pytest\nMARK = pytest.mark.requirement('RS-01')\n",
        "import pytest\nIDS = ['RS-01']\n@pytest.mark.requirement(*IDS)\ndef test_x() -> None: ...\n",
        "import pytest\n@pytest.mark.requirement('RS-01')\ndef helper() -> None: ...\n",
    ):
        (tmp_path / "test_it.py").write_text(text)
        with pytest.raises(ValueError, match="test_it"):
            named(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "| RS-1 | MUST | a | b | |",
        "| RS-01 | OUGHT | a | b | |",
        "| RS-01 | MUST | a | |",
        "| RS-01 MUST a b",
        "| x | y |",
    ],
)
def test_a_line_that_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a requirement"):
        read(f"## Chapter\n{line}\n")


def test_an_id_stands_once() -> None:
    line = "| RS-01 | MUST | a | b | |\n"
    assert read(line)["RS-01"].deviation == ""
    assert read("| RS-01 | MUST | a | b | why |")["RS-01"].deviation == "why"
    with pytest.raises(ValueError, match="twice"):
        read(line * 2)


def test_the_page_of_deviations_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8") == generate.deviations(), "run `make docs`"
