"""Nothing outside the root folder is read, and nothing hidden, endless or secret inside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.folder import MAX_LISTED, MAX_TOTAL_BYTES, Folder, Refused


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "root"
    for name in ("a.yaml", "sub/b.yaml", "sub/deep/c.yaml", "sub/d.txt", ".hidden/e.yaml", "sub/.f.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "outside.yaml").write_text("secret")
    return Folder(root, 1_000)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("a.yaml", ["a.yaml"]),
        ("./sub/*.yaml", ["sub/b.yaml"]),
        ("sub/*", ["sub/b.yaml", "sub/d.txt"]),
        ("**/*.yaml", ["a.yaml", "sub/b.yaml", "sub/deep/c.yaml"]),
        ("*/deep/?.yaml", ["sub/deep/c.yaml"]),
        ("sub/../a.yaml", ["a.yaml"]),
        ("nothing*.yaml", []),
        ("**", ["a.yaml", "sub/b.yaml", "sub/d.txt", "sub/deep/c.yaml"]),
        ("sub/[^b].*", ["sub/d.txt"]),
        ("{a,sub/b,gone}.yaml", ["a.yaml", "sub/b.yaml"]),
    ],
)
def test_targets_and_wildcards_name_files(folder: Folder, target: str, found: list[str]) -> None:
    assert folder.expand(target) == found


def test_targets_are_relative_to_the_file_that_names_them(folder: Folder) -> None:
    assert folder.expand("../a.yaml", base="sub/b.yaml") == ["a.yaml"]
    assert folder.expand("deep/*.yaml", base="sub/b.yaml") == ["sub/deep/c.yaml"]


@pytest.mark.parametrize(
    "target",
    [
        "sub/", "sub/*/", "{a,sub/}", "{../outside,a}.yaml", "../outside.yaml", "sub/../../outside.yaml", "/etc/passwd", "..", ".", "", "a\\..\\b.yaml", "a\x00.yaml",
        ".hidden/e.yaml", "sub/.f.yaml", "../root2/*.yaml", "*/../../*.yaml", "/".join(["x"] * 99),
    ],
)  # fmt: skip
def test_targets_that_lead_out_or_into_hiding_are_refused(folder: Folder, target: str) -> None:
    with pytest.raises(Refused):
        folder.expand(target)


def test_links_that_lead_out_or_into_hiding_are_refused(folder: Folder, tmp_path: Path) -> None:
    (folder.root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder.root / "peek.yaml").symlink_to(folder.root / ".hidden/e.yaml")
    (folder.root / "out").symlink_to(tmp_path)
    (folder.root / "loop.yaml").symlink_to("loop.yaml")
    for name in ("link.yaml", "peek.yaml", "out/outside.yaml", "loop.yaml"):
        with pytest.raises(Refused):
            folder.read(name)
    assert folder.expand("out/*.yaml") == []
    assert "out/outside.yaml" not in folder.expand("**/*.yaml")


def test_circles_of_links_and_endless_names_are_nothing_to_read(folder: Folder) -> None:
    (folder.root / "circle").symlink_to("circle")
    for target in ("circle/*.yaml", "circle/*/x.yaml", f"*/{'x' * 300}", f"{'y' * 300}/*.yaml"):
        assert folder.expand(target) == []
    with pytest.raises(Refused):
        folder.read("z" * 300 + ".yaml")


def test_all_files_together_are_bounded(folder: Folder) -> None:
    folder.total = MAX_TOTAL_BYTES
    with pytest.raises(Refused, match="together"):
        folder.read("a.yaml")


def test_wildcards_that_go_through_too_much_are_refused(folder: Folder) -> None:
    folder.listed = MAX_LISTED
    with pytest.raises(Refused, match="narrower"):
        folder.expand("**/*.yaml")


def test_a_link_inside_the_folder_is_followed(folder: Folder) -> None:
    (folder.root / "same.yaml").symlink_to("sub/b.yaml")
    assert folder.read("same.yaml") == "sub/b.yaml"


def test_only_documents_are_read(folder: Folder) -> None:
    for name in ("portal.toml", "key.pem", "state.db", "noext"):
        (folder.root / name).write_text("secret")
        with pytest.raises(Refused, match="files are read here"):
            folder.read(name)


def test_large_binary_and_endless_files_are_refused(folder: Folder) -> None:
    (folder.root / "large.yaml").write_text("x" * 1_001)
    (folder.root / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(folder.root / "pipe.yaml")
    (folder.root / "dir.yaml").mkdir()
    for name, said in [
        ("large.yaml", "larger"), ("binary.yaml", "UTF-8"), ("pipe.yaml", "regular"), ("dir.yaml", "regular|opened"), ("no.yaml", "no such"),
    ]:  # fmt: skip
        with pytest.raises(Refused, match=said):
            folder.read(name)


def test_a_change_a_new_file_and_a_removal_are_noticed(folder: Folder) -> None:
    for file in folder.expand("sub/*.yaml"):
        folder.read(file)
    assert not folder.changed()
    (folder.root / "sub/b.yaml").write_text("longer than before")
    assert folder.changed()
    again = Folder(folder.root, 1_000)
    again.expand("sub/*.yaml")
    (folder.root / "sub/new.yaml").write_text("x")
    assert again.changed()


def test_a_file_that_was_missing_is_noticed_when_it_comes(folder: Folder) -> None:
    with pytest.raises(Refused):
        folder.read("later.yaml")
    assert not folder.changed()
    (folder.root / "later.yaml").write_text("x")
    assert folder.changed()


@given(st.lists(st.sampled_from(["..", ".", "a", "sub", "*", "**", "", "x.yaml"]), max_size=8))
def test_no_path_made_of_dots_and_wildcards_leaves_the_folder(segments: list[str]) -> None:
    here = Folder(Path(__file__).parent, 1_000)
    try:
        found = here.expand("/".join(segments).lstrip("/"))
    except Refused:
        return
    assert all(".." not in file.split("/") and not file.startswith("/") for file in found)
