"""What the README claims to be tested is tested, and every table is accounted for in STORAGE.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shared_auth
from shared_auth.store import metadata

ROOM = Path(shared_auth.__file__).parent
README = (ROOM / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "name"), re.findall(r"`(test_\w+\.py)::(test_\w+)`", README))
def test_a_test_that_the_readme_names_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted({str(path.relative_to(ROOM)) for path in ROOM.rglob("*.py")}))
def test_the_readme_leads_through_every_file(path: str) -> None:
    covered = {
        "__init__.py",
        "authorization/__init__.py",
        "identity/__init__.py",
        "vault/__init__.py",
        "connect/__init__.py",
        "principal.py",
        "people.py",
        "opaque.py",
    }
    plumbing = {"authorization/answers.py", "authorization/parameters.py"}
    assert path in covered | plumbing or f"`{path}`" in README


def test_every_table_is_accounted_for() -> None:
    storage = (ROOM / "STORAGE.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(auth_\w+)` \|", storage)) == set(metadata.tables)
