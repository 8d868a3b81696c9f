"""The sentence model: only the published files are believed, it says what its authors' code says, and never on the loop."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from portal.catalogue import sentences
from portal.catalogue.meaning import Vectors, word_vectors
from portal.catalogue.rankings import vectors_of
from portal.catalogue.records import ServerState
from portal.catalogue.sentences import DIMENSIONS, SHARE, SentenceModel, SentencesMissing, SentenceVectors
from portal.catalogue.snapshot import Catalogue, everything
from portal.programs.search import Search
from portal.settings import ConfigurationError
from shared_auth.principal import Principal
from tests.catalogue.making import gathered, read_only

installed = pytest.mark.skipif(
    find_spec(sentences.PACKAGE) is None or find_spec(sentences.THREADS_PACKAGE) is None,
    reason="not installed: make sentences",
)
ADA = Principal("issuer", "ada", "client")


class Counting:
    """A reader that notes who asked what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def of(self, text: str) -> Vectors:
        self.asked.append((text, threading.get_ident()))
        found = np.zeros(DIMENSIONS, np.float32)
        found[len(text) % DIMENSIONS] = 1
        return found


def test_a_ranking_whose_model_is_missing_is_refused_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences.sentence_vectors.cache_clear()
    monkeypatch.setattr(sentences, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(
        ConfigurationError, match=r"search\.ranking: the sentence model is not installed: make sentences"
    ):
        vectors_of("words+vectors+sentences")
    assert vectors_of("words+vectors") is word_vectors


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SentencesMissing, match=r"holds no model/model\.safetensors"):
        SentenceModel(tmp_path)
    for name in (sentences.WEIGHTS, sentences.TOKENIZER):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(SentencesMissing, match="is not the published file"):
        SentenceModel(tmp_path)


def test_nearness_is_the_weighted_mean_of_both() -> None:
    words = word_vectors()
    both = SentenceVectors(Counting(), words)
    one, other = "delete a file", "move the paper"
    near = float(both.of(one) @ both.of(other))
    by_words = 0.0 if words is None else float(words.of(one) @ words.of(other))
    by_model = float(Counting().of(one) @ Counting().of(other))
    share = 1.0 if words is None else SHARE
    assert near == pytest.approx(share * by_model + (1 - share) * by_words, abs=1e-5)
    assert both.of(one).shape == (both.dimensions,)


def test_what_was_read_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Counting()
    both = SentenceVectors(reader, None)
    assert both.of("one") is both.of("one")
    monkeypatch.setattr(sentences, "REMEMBERED", 2)
    for text in ("two", "three", "one"):
        both.of(text)
    assert [text for text, _ in reader.asked] == ["one", "two", "three", "one"]


async def test_a_query_is_read_in_a_thread_and_once() -> None:
    reader = Counting()
    both = SentenceVectors(reader, None)
    tools = gathered("srv", read_only("get_pipeline", "State of a build."), read_only("get_issue", "Read an issue."))
    live: Any = SimpleNamespace(current=Catalogue(tools, [ServerState("srv")], vectors=lambda: both))
    gate: Any = SimpleNamespace(allowed=lambda _principal: everything)
    reader.asked.clear()
    queries = ["read  an issue", "srv.get_issue", "state of builds"]
    text = await Search(live, gate).search(ADA, queries, server=None, limit=None)
    assert "async def get_pipeline" in text
    assert [asked for asked, _ in reader.asked] == ["read an issue", "state of builds"]
    assert threading.get_ident() not in {thread for _, thread in reader.asked}


@installed
def test_the_model_says_what_its_authors_code_says() -> None:
    model = cast("Any", sentences.sentence_vectors())._model
    texts = ("A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby.")
    food, bread, baby = map(model.of, texts)
    assert float(food @ bread) == pytest.approx(0.7553, abs=1e-4)
    assert float(food @ baby) == pytest.approx(-0.1050, abs=1e-4)


@installed
@pytest.mark.parametrize("text", ["", "  ", "\ud800", "\u4f60\u597d", "word " * 5_000, "\x00"])
def test_any_text_has_a_unit_vector_or_none(text: str) -> None:
    found = cast("Any", sentences.sentence_vectors())._model.of(text)
    assert found.shape == (DIMENSIONS,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-3) or not found.any()
