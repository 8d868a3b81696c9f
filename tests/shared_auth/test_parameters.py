from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_auth.authorization.parameters import pairs, unique
from shared_auth.reasons import Denied

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=10)


@given(st.dictionaries(WORDS, WORDS, max_size=8))
def test_what_was_encoded_is_read_back(values: dict[str, str]) -> None:
    assert unique(pairs(urlencode(values).encode())) == values


@pytest.mark.requirement("AS-134")
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser_or_smuggle_a_control_character(raw: bytes) -> None:
    try:
        found = unique(pairs(raw))
    except Denied:
        return
    text = "".join([*found, *found.values()])
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in text)


@pytest.mark.requirement("AS-83")
@pytest.mark.parametrize("raw", [b"a=1&a=2", b"a=1&a=1", b"%61=1&a=2", b"a=1&b=2&a=3"])
def test_a_name_that_occurs_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(Denied, match="parameter_repeated"):
        unique(pairs(raw))


@pytest.mark.requirement("AS-84")
def test_a_parameter_without_a_value_counts_as_absent() -> None:
    assert unique(pairs(b"a=&b&c=1&c=")) == {"c": "1"}
