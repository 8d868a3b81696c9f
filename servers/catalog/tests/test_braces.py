"""Braces become several texts, never too many."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.braces import MAX_TEXTS, TooMany, expanded


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x.yaml", ["x.yaml"]),
        ("{a,b}/x", ["a/x", "b/x"]),
        ("{a,b}{c,d}", ["ac", "ad", "bc", "bd"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        ("{,x}y", ["y", "xy"]),
        ("r{1..3}", ["r1", "r2", "r3"]),
        ("{2..-1}", ["2", "1", "0", "-1"]),
        ("{a..c}", ["a", "b", "c"]),
        ("{c..a..2}", ["c", "a"]),
        ("{1..6..2}", ["1", "3", "5"]),
        ("{1..2..0}", ["1", "2"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{a..3}", ["{a..3}"]),
        ("{1..}", ["{1..}"]),
        ("{a}", ["{a}"]),
        ("{}", ["{}"]),
        ("{a,b", ["{a,b"]),
        ("{a}{b,c}", ["{a}b", "{a}c"]),
        ("{a,a}", ["a"]),
    ],
)
def test_braces_stand_for_their_choices_in_order(text: str, found: list[str]) -> None:
    assert expanded(text) == found


@pytest.mark.parametrize("text", ["{a,b}" * 50, "{1..999999}", "{1..100}{1..100}", "{" + "a," * 5_000 + "}"])
def test_braces_that_stand_for_too_much_are_refused(text: str) -> None:
    with pytest.raises(TooMany):
        expanded(text)


@given(st.text("{},.a1-", max_size=30))
def test_any_text_is_a_bounded_number_of_texts(text: str) -> None:
    with suppress(TooMany):
        assert 1 <= len(expanded(text)) <= MAX_TEXTS
