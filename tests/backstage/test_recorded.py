"""Our catalog says what Backstage said when it was last asked, but for what is listed with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from servers.catalog.folder import Folder
from servers.catalog.settings import CatalogSettings
from servers.catalog.snapshot import build
from servers.catalog.validation import faults_of
from tests.backstage import recorded
from tests.backstage.descriptors import DESCRIPTORS
from tests.backstage.known import KNOWN
from tests.backstage.oracle import HERE
from tests.backstage.sides import Difference, diverging, plain
from tests.running import ROOT


@pytest.fixture(scope="module")
def record() -> Any:
    return recorded.kept()


def unlisted(differences: list[Difference]) -> list[str]:
    return [str(one) for one in differences if not any(known.covers(one) for known in KNOWN)]


def test_the_same_descriptors_are_good(record: Any) -> None:
    assert record["verdicts"].keys() == DESCRIPTORS.keys()
    differences = [
        Difference("verdicts", name, faults_of(DESCRIPTORS[name]), good)
        for name, good in record["verdicts"].items()
        if good != (faults_of(DESCRIPTORS[name]) == [])
    ]
    assert unlisted(differences) == []


def test_the_same_files_make_the_same_entities(record: Any) -> None:
    roots = [str(path.relative_to(ROOT)) for path in sorted((HERE / "odd").glob("*/root.yaml"))]
    settings = CatalogSettings(folder=str(ROOT), roots=roots)
    ours = build(settings, Folder(ROOT, settings.max_file_bytes)).by_ref
    theirs = record["entities"]
    alone = ours.keys() ^ theirs.keys()
    differences = [Difference("entity set", ref, ref in ours, ref in theirs) for ref in sorted(alone)]
    for ref in sorted(ours.keys() & theirs.keys()):
        data, other = ours[ref].data, theirs[ref]
        here = {f"{r.type} {r.target}": True for r in ours[ref].relations if r.target not in alone}
        there = {edge: True for edge in other["relations"] if edge.partition(" ")[2] not in alone}
        for area, one, two in [
            ("metadata", plain(dict(data["metadata"])), other["metadata"]),
            ("spec", data.get("spec"), other["spec"]),
            ("relations", here, there),
        ]:
            differences += [Difference(area, f"{ref} {path}".rstrip(), *both) for path, *both in diverging(one, two)]
    assert unlisted(differences) == []
    assert len(theirs) > 50
