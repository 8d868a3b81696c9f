"""Filters, and the words in which a check gives its reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from servers.catalog.fields import keys_of, select
from servers.catalog.predicates import Filter, explain, holds
from servers.catalog.scalars import as_text
from servers.catalog.scores import BadChecks, parse_checks

DATA: dict[str, Any] = {
    "kind": "Component",
    "metadata": {
        "name": "Shop",
        "tags": ["Java", "web"],
        "annotations": {"backstage.io/source-location": "url:https://x.test/", "long": "x" * 500},
        "links": [{"url": "https://a.test"}, {"url": "https://b.test"}],
    },
    "spec": {"type": "service", "replicas": 3, "open": True, "nothing": None},
}
KEYS = keys_of(DATA, [("ownedBy", "group:default/team")])


@pytest.mark.parametrize(
    "rule",
    [
        {"field": "kind", "equals": "component"},
        {"field": "SPEC.Type", "equals": "SERVICE"},
        {"field": "spec.replicas", "equals": 3},
        {"field": "spec.open", "equals": True},
        {"field": "metadata.tags", "equals": "java"},
        {"field": "metadata.tags.java", "equals": True},
        {"field": "metadata.tags", "one_of": ["go", "Web"]},
        {"field": "metadata.annotations.backstage.io/source-location", "exists": True},
        {"field": "metadata.annotations.nobody", "exists": False},
        {"field": "metadata.annotations.long", "exists": True},
        {"field": "spec.nothing", "exists": True},
        {"field": "metadata.links.url", "equals": "https://b.test"},
        {"field": "relations.ownedBy", "equals": "group:default/team"},
        {"field": "metadata.annotations.backstage.io/source-location", "prefix": "URL:"},
        {"field": "metadata.name", "matches": "S*p"},
        {"all_of": []},
        {"none_of": [{"field": "kind", "equals": "api"}]},
        {"any_of": [{"field": "kind", "equals": "api"}, {"field": "kind", "equals": "component"}]},
    ],
)
def test_a_filter_that_holds_does_so_and_its_opposite_does_not(rule: dict[str, Any]) -> None:
    assert holds(Filter.model_validate(rule), KEYS)
    assert not holds(Filter.model_validate({"none_of": [rule]}), KEYS)


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"field": "a"}, {"field": "a", "equals": 1, "exists": True}, {"equals": 1}, {"any_of": [], "all_of": []},
        {"field": "a", "any_of": []}, {"field": "a", "equal": 1}, {"field": "", "equals": 1}, {"field": "a", "one_of": []},
    ],
)  # fmt: skip
def test_a_filter_that_says_nothing_or_two_things_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Filter.model_validate(rule)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (2.50, "2.5"), (-0.0, "0"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-9, "1.5e-9"), (1e20, "100000000000000000000"),
        (1e21, "1e+21"), (-1.25e30, "-1.25e+30"), (123.456, "123.456"), (2**53 + 1, "9007199254740992"), (12345678901234567890, "12345678901234567000"),
        (2**53 - 1, "9007199254740991"), (True, "true"), (float("inf"), None), (10**400, None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_numbers_are_compared_as_the_text_that_backstage_makes_of_them(value: Any, text: str | None) -> None:
    assert as_text(value) == text
    if text is not None:
        assert holds(Filter(field="f", equals=text), keys_of({"f": value}, []))


def test_keys_and_values_beyond_200_characters_are_not_compared() -> None:
    keys = keys_of({"k" * 201: 1, "k" * 200: 1, "long": "v" * 201, "list": ["v" * 196, "v" * 195]}, [])
    assert set(keys) == {"k" * 200, "long", "list", f"list.{'v' * 195}"}
    assert (dict(keys["long"]), len(keys["list"])) == ({}, 2)


def test_a_value_is_found_without_case_and_kept_as_it_is_written() -> None:
    assert keys_of({"A": ["One", "ONE", "two"]}, [("ownedBy", "group:default/t")]) == {
        "a": {"one": "One", "two": "two"}, "a.one": {"true": "true"}, "a.two": {"true": "true"},
        "relations.ownedby": {"group:default/t": "group:default/t"},
    }  # fmt: skip


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_wildcards_match_as_the_same_regular_expression(pattern: str, value: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None
    if pattern:
        keys = {"f": frozenset({value})}
        assert holds(Filter(field="f", matches=pattern), keys) == wanted


LEAVES = st.builds(
    lambda field, value: Filter(field=field, equals=value), st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])
)
RULES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda name, group: Filter.model_validate({name: [rule.model_dump(exclude_none=True) for rule in group]}),
        st.sampled_from(["all_of", "any_of", "none_of"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@given(RULES, RULES, st.dictionaries(st.sampled_from(["a", "b"]), st.frozensets(st.sampled_from(["1", "2"]))))
def test_groups_follow_the_laws_of_logic(one: Filter, two: Filter, keys: dict[str, frozenset[str]]) -> None:
    neither = Filter(none_of=[one, two])
    both_not = Filter(all_of=[Filter(none_of=[one]), Filter(none_of=[two])])
    assert holds(neither, keys) == holds(both_not, keys) == (not holds(Filter(any_of=[one, two]), keys))
    assert isinstance(explain(one, keys), str)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"field": "spec.x", "exists": True}, "spec.x is not there"),
        ({"field": "spec.type", "equals": "job"}, "spec.type is service, not job"),
        ({"field": "spec.type", "prefix": "j"}, "spec.type is service, which does not begin with j"),
        ({"field": "spec.type", "matches": "j*"}, "spec.type is service, which does not match j*"),
        ({"field": "spec.nothing", "equals": "1"}, "spec.nothing is empty, not 1"),
        ({"none_of": [{"field": "spec.type", "equals": "service"}]}, "spec.type is service"),
        ({"all_of": [{"field": "kind", "equals": "component"}, {"field": "b", "equals": 1}]}, "b is not there"),
        ({"any_of": [{"field": "a", "equals": 1}, {"field": "b", "equals": 1}]}, "a is not there and b is not there"),
    ],
)
def test_a_broken_rule_says_why(rule: dict[str, Any], reason: str) -> None:
    parsed = Filter.model_validate(rule)
    assert not holds(parsed, KEYS)
    assert explain(parsed, KEYS) == reason


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.type", "service"), ("metadata.annotations.backstage.io/source-location", "url:https://x.test/"),
        ("metadata.links.1.url", "https://b.test"), ("metadata.links.7.url", None), ("spec.type.more", None), ("", DATA),
        ("nobody", None),
    ],
)  # fmt: skip
def test_dotted_paths_select_values_also_through_keys_with_dots(path: str, value: Any) -> None:
    assert select(DATA, path) == value


@pytest.mark.parametrize(
    "text",
    [
        "checks: 1", "nothing: []", "checks: [{id: A}]", "checks: [", "checks: [{id: ab, name: x, rule: {field: a}}]",
        "checks:\n- &c {id: ab, name: x, rule: {field: a, exists: true}}\n- *c",
    ],
)  # fmt: skip
def test_a_file_of_checks_that_cannot_be_right_is_refused(text: str) -> None:
    with pytest.raises(BadChecks):
        parse_checks(text)
