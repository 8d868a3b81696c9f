"""A value becomes text within its bound, and stays JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from portal.programs.results import render

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=20), inner, max_size=15),
    max_leaves=60,
)


@given(json_values)
def test_what_fits_is_whole(value: object) -> None:
    text, cut = render(value, 10**7)
    assert json.loads(text) == value
    assert not cut


@given(json_values)
def test_cut_text_is_json_and_bounded(value: object) -> None:
    text, cut = render(value, 1_000)
    json.loads(text)
    assert not cut or len(text) <= 1_400


def test_a_long_list_says_how_many_items_are_missing() -> None:
    text, cut = render([{"name": f"service-{i}"} for i in range(1_000)], 1_000)
    assert cut
    found = json.loads(text)
    assert found[0] == {"name": "service-0"}
    assert found[-1] == f"… {1_000 - (len(found) - 1)} more of 1000 items"


def test_a_long_value_does_not_hide_the_keys_after_it() -> None:
    text, cut = render({"log": "x" * 50_000, "status": "failed"}, 2_000)
    assert cut
    assert json.loads(text)["status"] == "failed"
