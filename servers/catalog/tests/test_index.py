"""The full-text index: what it finds, in which order, and from many threads at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import snowballstemmer
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.index import Index, words

SHELF = [
    {"name": "checkout-api", "description": "Leads a basket to a placed order.", "owner": "checkout"},
    {"name": "cart", "description": "Keeps baskets for the checkout-api."},
    {"name": "orderNotifier", "description": "Tells customers what happens."},
    {"name": "tickets", "title": "Customer Care", "tags": "python web"},
]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("checkout-api", ["checkout-api", "cart"]),
        ("BASKET", ["cart", "checkout-api"]),
        ("order_notifier", ["orderNotifier", "checkout-api"]),
        ("tick", ["tickets"]),
        ("ti", []),
        ("customers caring", ["tickets", "orderNotifier"]),
        ("", []),
        ("... ,,", []),
    ],
)
def test_words_find_names_first_in_any_spelling(query: str, names: list[str]) -> None:
    assert [SHELF[one.position]["name"] for one in Index(SHELF).search(query)] == names


def test_the_fields_that_matched_are_named() -> None:
    assert Index(SHELF).search("checkout")[0].fields == ("name", "owner")


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=30))
def test_any_text_can_be_indexed_and_asked_for(names: list[str], query: str) -> None:
    found = Index([{"name": name} for name in names]).search(query)
    assert {one.position for one in found} <= set(range(len(names)))
    for at, name in enumerate(names):
        if set(words(name)) & set(words(query)[:20]):
            assert at in {one.position for one in found}


def test_threads_do_not_disturb_one_another() -> None:
    texts = [f"{a}{b}ing relational{b}s happily{a}" for a in "abcdefgh" for b in "klmnopqr"]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(words, texts * 5))
    alone = snowballstemmer.stemmer("english")
    assert together == [alone.stemWords(re.findall("[a-z]+", text)) for text in texts] * 5


def test_an_empty_index_answers() -> None:
    assert Index([]).search("anything") == []
