"""The arrays say what the formula says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.catalogue.pacing import unhurried
from portal.catalogue.postings import K1, WEIGHTS, B, Postings
from portal.catalogue.ranking import best_first
from portal.catalogue.records import Tool
from portal.catalogue.section import section
from portal.catalogue.similar import slips
from portal.catalogue.words import terms
from tests.catalogue.making import gathered, read_only

WORDS = st.sampled_from(["zebra", "violin", "marble", "lantern", "walnut"])
LISTINGS = st.lists(st.lists(st.lists(WORDS, max_size=6), min_size=1, max_size=4), min_size=1, max_size=4)


def listings(texts: Sequence[Sequence[Sequence[str]]]) -> list[list[Tool]]:
    return [
        gathered(f"q{number}", *(read_only(f"x{n}", ", ".join(words)) for n, words in enumerate(server)))
        for number, server in enumerate(texts)
    ]


def expected(query: str, tools: Sequence[Tool]) -> list[float]:
    """BM25F over name, server and description, as it is written in papers; no pairs and no synonyms."""
    fields = [[terms(tool.name), terms(tool.server), terms(tool.description)] for tool in tools]
    means = [sum(len(f[n]) for f in fields) / len(fields) or 1 for n in range(3)]
    scores = [0.0] * len(tools)
    for term in set(terms(query)):
        having = sum(any(term in field for field in tool) for tool in fields)
        rarity = math.log(1 + (len(tools) - having + 0.5) / (having + 0.5))
        for number, tool in enumerate(fields):
            strength = sum(
                weight * field.count(term) / (1 - B + B * len(field) / mean)
                for weight, field, mean in zip(WEIGHTS, tool, means, strict=False)
            )
            scores[number] += rarity * strength * (K1 + 1) / (K1 + strength)
    return scores


@given(LISTINGS, WORDS)
def test_a_score_is_the_formula_s_over_all_sections(texts: list[list[list[str]]], word: str) -> None:
    made = listings(texts)
    tools = [tool for listing in made for tool in listing]
    index = Postings([section(listing, "", None) for listing in made])
    known = any(word in tool.description for tool in tools)
    found = index.scores(word, lambda _: True, np.ones(len(tools), np.bool_))
    assert found == pytest.approx(expected(word, tools) if known else [0.0] * len(tools), rel=1e-4)


@given(LISTINGS, WORDS, st.data())
def test_nothing_left_out_has_a_score(texts: list[list[list[str]]], word: str, data: st.DataObject) -> None:
    made = listings(texts)
    size = sum(map(len, made))
    within = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    found = Postings([section(listing, "", None) for listing in made]).scores(word, lambda _: True, within)
    assert not found[~within].any()


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), max_size=400), st.sets(st.integers(0, 400)))
def test_best_first_is_a_stable_sort_of_what_is_visible(values: list[float], hidden: set[int]) -> None:
    scores = np.array(values, np.float32)
    wanted = [n for n in range(len(values)) if n not in hidden and values[n] > 0]
    found = list(best_first(scores, lambda document: document not in hidden))
    assert found == sorted(wanted, key=lambda n: -values[n])


def test_slips_are_one_letter_away() -> None:
    assert {"piplne", "pipelin", "pipelinee", "pipalne"} & set(slips("pipelne")) == {"piplne", "pipalne"}
    assert "pipeline" in slips("pipleine")
    assert slips("abc") == []
    assert slips("häuser") == []


@given(st.lists(st.integers(), max_size=40))
def test_unhurried_work_is_the_same_work(items: list[int]) -> None:
    assert list(unhurried(items)) == items
