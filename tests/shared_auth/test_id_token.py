"""ID token claims: whatever the provider states, only a person that every rule lets through comes out."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_auth.identity.id_token import MAX_AGE_S, MAX_GROUPS_CHARS, SKEW_S, half_hash, judge
from shared_auth.identity.settings import OidcSettings
from shared_auth.people import Person
from shared_auth.reasons import Denied, Reason

NOW = 1_800_000_000
SETTINGS = OidcSettings(issuer="https://login.example/realm", client_id="portal")
GOOD: dict[str, Any] = {
    "iss": "https://login.example/realm",
    "sub": "4711",
    "aud": "portal",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "a nonce",
    "groups": ["staff"],
}
SWAPPED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def person(settings: OidcSettings = SETTINGS, **changes: Any) -> Person:
    claims = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return judge(claims, settings, nonce="a nonce", access_token="an access token", now=NOW)


def reason(settings: OidcSettings = SETTINGS, **changes: Any) -> Reason:
    with pytest.raises(Denied) as denied:
        person(settings, **changes)
    return denied.value.reason


def test_the_person_is_the_providers_subject_at_that_provider() -> None:
    assert person() == Person("4711@login.example/realm", "4711", "", frozenset({"staff"}))


@pytest.mark.requirement("GW-31")
def test_clocks_may_differ_by_the_skew_and_no_more() -> None:
    assert person(exp=NOW - SKEW_S + 1)
    assert reason(exp=NOW - SKEW_S) is Reason.ID_TOKEN_EXPIRED
    assert person(iat=NOW + SKEW_S, nbf=NOW + SKEW_S)
    assert reason(iat=NOW + SKEW_S + 1) is Reason.ID_TOKEN_INVALID
    assert reason(nbf=NOW + SKEW_S + 1) is Reason.ID_TOKEN_INVALID
    assert person(iat=NOW - MAX_AGE_S)
    assert reason(iat=NOW - MAX_AGE_S - 1) is Reason.ID_TOKEN_EXPIRED
    assert person(iat=NOW - 0.5), "a NumericDate may have a fraction"


@pytest.mark.requirement("GW-30")
def test_an_audience_that_the_operator_named_is_allowed_when_we_are_the_party() -> None:
    wider = OidcSettings(issuer=SETTINGS.issuer, client_id="portal", extra_audiences=frozenset({"project"}))
    assert person(aud=["portal"])
    assert person(wider, aud=["portal", "project"], azp="portal")
    assert reason(aud=["portal", "project"], azp="portal") is Reason.ID_TOKEN_INVALID
    assert reason(wider, aud=["portal", "project"]) is Reason.ID_TOKEN_INVALID
    assert reason(wider, aud=["project"], azp="portal") is Reason.ID_TOKEN_INVALID
    assert reason(wider, aud=["portal", "project"], azp="project") is Reason.ID_TOKEN_INVALID


@pytest.mark.requirement("GW-33")
def test_the_access_token_is_the_one_that_came_along() -> None:
    assert person(at_hash=half_hash("an access token"))
    assert reason(at_hash=half_hash("another")) is Reason.ID_TOKEN_INVALID
    with pytest.raises(Denied):
        judge(GOOD | {"at_hash": half_hash("x")}, SETTINGS, nonce="a nonce", access_token=None, now=NOW)


def test_groups_are_a_list_or_one_name() -> None:
    assert person(groups=None).groups == frozenset()
    assert person(groups="staff").groups == {"staff"}
    assert person(groups=["a", "", "a"]).groups == {"a"}
    assert person(groups=["x" * (MAX_GROUPS_CHARS - 3)])
    assert reason(groups=["x" * (MAX_GROUPS_CHARS - 2)]) is Reason.GROUPS_TOO_MANY
    assert reason(groups=[["a"]]) is Reason.ID_TOKEN_INVALID


def test_a_subject_is_up_to_255_printable_ascii_characters() -> None:
    assert person(sub="x" * 255)
    for subject in ("x" * 256, "é", "\x7f", 7):
        assert reason(sub=subject) is Reason.ID_TOKEN_INVALID


@pytest.mark.requirement("GW-30", "GW-32")
@hypothesis.settings(max_examples=400)
@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "iat", "nonce", "nbf", "azp", "at_hash"]), SWAPPED, min_size=1
    )
)
def test_no_swapped_claim_crashes_or_yields_somebody_else(changes: Any) -> None:
    try:
        found = judge(GOOD | changes, SETTINGS, nonce="a nonce", access_token="an access token", now=NOW)
    except Denied:
        return
    assert found.subject == "4711@login.example/realm"
    assert all(changes.get(name, GOOD[name]) == GOOD[name] for name in ("iss", "nonce"))
    assert changes.get("aud", "portal") in ("portal", ["portal"])
    assert changes.get("azp", "portal") == "portal"


@given(
    st.dictionaries(
        st.sampled_from(["sub", "name", "email", "email_verified", "preferred_username", "groups"]), SWAPPED
    )
)
def test_whatever_the_provider_says_of_a_person_is_harmless(changes: Any) -> None:
    try:
        found = judge(GOOD | changes, SETTINGS, nonce="a nonce", access_token="an access token", now=NOW)
    except Denied:
        return
    for text in (found.subject, found.name, found.email, *found.groups):
        assert text.isprintable()
        assert len(text) <= MAX_GROUPS_CHARS
