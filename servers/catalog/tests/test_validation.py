"""The rules of the entity format, one fault at a time."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.validation import SPECS, faults_of

GOOD: dict[str, dict[str, Any]] = {
    "Component": {"type": "service", "lifecycle": "production", "owner": "team"},
    "API": {"type": "openapi", "lifecycle": "production", "owner": "team", "definition": "x"},
    "Resource": {"type": "database", "owner": "team"},
    "System": {"owner": "team"},
    "Domain": {"owner": "team"},
    "Group": {"type": "team", "children": []},
    "User": {"memberOf": []},
    "Location": {"targets": []},
    "Template": {"type": "service", "steps": []},
}


def entity(kind: str = "Component", **metadata: Any) -> dict[str, Any]:
    version = "scaffolder.backstage.io/v1beta3" if kind == "Template" else "backstage.io/v1alpha1"
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "x", **metadata},
        "spec": copy.deepcopy(GOOD[kind]),
    }


@pytest.mark.parametrize("kind", SPECS)
def test_the_least_that_each_kind_needs_is_enough(kind: str) -> None:
    assert faults_of(entity(kind)) == []


@pytest.mark.parametrize(("kind", "field"), [(k, f) for k, fields in GOOD.items() for f in fields if k != "Location"])
def test_each_required_field_is_required(kind: str, field: str) -> None:
    broken = entity(kind)
    del broken["spec"][field]
    assert [path for path, _ in faults_of(broken)] == [f"spec.{field}"]


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"name": ""}, "metadata.name"),
        ({"name": "a b"}, "metadata.name"),
        ({"name": "-a"}, "metadata.name"),
        ({"name": "a" * 64}, "metadata.name"),
        ({"name": 5}, "metadata.name"),
        ({"name": "a\n"}, "metadata.name"),
        ({"namespace": "Upper"}, "metadata.namespace"),
        ({"namespace": "a--"}, "metadata.namespace"),
        ({"title": ""}, "metadata.title"),
        ({"description": 1}, "metadata.description"),
        ({"labels": {"a b": "x"}}, "metadata.labels.a b"),
        ({"labels": {"a": "x y"}}, "metadata.labels.a"),
        ({"labels": {"a": 1}}, "metadata.labels.a"),
        ({"labels": []}, "metadata.labels"),
        ({"annotations": {"Bad_Domain/x": "x"}}, "metadata.annotations.Bad_Domain/x"),
        ({"annotations": {"a.test/b": 1}}, "metadata.annotations.a.test/b"),
        ({"tags": ["Upper"]}, "metadata.tags.0"),
        ({"tags": ["ok", "a_b"]}, "metadata.tags.1"),
        ({"tags": "java"}, "metadata.tags"),
        ({"links": [{"title": "x"}]}, "metadata.links.0"),
        ({"links": [{"url": "x", "icon": 1}]}, "metadata.links.0"),
        ({"links": {}}, "metadata.links"),
    ],
)
def test_each_rule_of_metadata_names_its_field(metadata: dict[str, Any], path: str) -> None:
    assert [found for found, _ in faults_of(entity(**metadata))] == [path]


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "a" * 63}, {"name": "A.b_c-9"}, {"namespace": "a--b"}, {"tags": ["c++", "c#", "a:b", "go-1"]},
        {"labels": {"a.test/b": "", "c": "D_e.f"}}, {"annotations": {"a.test/b": "any text at all\n"}},
        {"links": [{"url": "https://x", "title": "t", "icon": "i", "type": "k"}]},
    ],
)  # fmt: skip
def test_what_backstage_allows_is_allowed(metadata: dict[str, Any]) -> None:
    assert faults_of(entity(**metadata)) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"kind": "Widget"}, "kind"),
        ({"kind": 1}, "kind"),
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"metadata": []}, "metadata"),
        ({"spec": None}, "spec"),
        ({"spec": {**GOOD["Component"], "owner": "a:"}}, "spec.owner"),
        ({"spec": {**GOOD["Component"], "dependsOn": ["nokind"]}}, "spec.dependsOn"),
        ({"spec": {**GOOD["Component"], "dependsOn": "resource:x"}}, "spec.dependsOn"),
        ({"spec": {**GOOD["Component"], "providesApis": [1]}}, "spec.providesApis"),
    ],
)
def test_each_rule_of_the_envelope_and_spec_names_its_field(change: dict[str, Any], path: str) -> None:
    assert [found for found, _ in faults_of({**entity(), **change})] == [path]


@pytest.mark.parametrize("field", ["namespace", "title", "description", "uid", "etag", "labels", "tags", "links"])
def test_null_is_no_value_of_metadata(field: str) -> None:
    assert [path for path, _ in faults_of({**entity(), "metadata": {"name": "x", field: None}})] == [
        f"metadata.{field}"
    ]


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in SPECS.items() for field in fields if field != "dependencyOf"]
)
def test_null_is_no_value_of_a_field_of_spec(kind: str, field: str) -> None:
    broken = entity(kind)
    broken["spec"][field] = None
    assert [path for path, _ in faults_of(broken)] == [f"spec.{field}"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"description": ""}, {"annotations": None}, {"uid": "x", "etag": "y", "more": None}, {"labels": {"a--b.test/c": "x"}},
        {"links": [{"url": "mailto:a@b.test", "type": " ", "more": 1}]},
    ],
)  # fmt: skip
def test_what_backstage_lets_pass_is_let_pass(metadata: dict[str, Any]) -> None:
    assert faults_of(entity(**metadata)) == []


@pytest.mark.parametrize(
    "url",
    ["a.test", "/path", "//a.test", "https://", "https://a b", "https://[", "https://a.test:99999", "1a:b", "http://%", "https://1.2.3.999", "", 1, None],
)  # fmt: skip
def test_the_url_of_a_link_is_one_by_the_rules_of_the_web(url: Any) -> None:
    assert [path for path, _ in faults_of(entity(links=[{"url": url}]))] == ["metadata.links.0"]


@pytest.mark.parametrize(
    "more", [{"title": ""}, {"title": " "}, {"title": None}, {"icon": ""}, {"icon": "\n"}, {"type": ""}, {"type": None}]
)
def test_what_a_link_says_is_not_empty(more: dict[str, Any]) -> None:
    assert [path for path, _ in faults_of(entity(links=[{"url": "https://x.test", **more}]))] == ["metadata.links.0"]


def test_each_label_of_a_key_s_domain_has_at_most_63_characters() -> None:
    assert faults_of(entity(annotations={f"{'a' * 63}.test/b": "x"})) == []
    long = f"{'a' * 64}.test/b"
    assert [path for path, _ in faults_of(entity(annotations={long: "x"}))] == [f"metadata.annotations.{long}"]


@pytest.mark.parametrize("field", ["extra", "relations", "status"])
def test_an_entity_has_no_other_fields_at_its_root(field: str) -> None:
    assert [path for path, _ in faults_of({**entity(), field: []})] == [field]


@pytest.mark.parametrize("kind", ["User", "Group"])
@pytest.mark.parametrize("profile", [{"displayName": ""}, {"email": 1}, {"picture": None}, [], "x"])
def test_a_profile_has_texts_that_are_not_empty(kind: str, profile: Any) -> None:
    broken = entity(kind)
    broken["spec"]["profile"] = profile
    assert [path for path, _ in faults_of(broken)] == ["spec.profile"]


@pytest.mark.parametrize("presence", ["maybe", "", 1, []])
def test_the_presence_of_a_location_is_one_of_two_words(presence: Any) -> None:
    broken = entity("Location")
    broken["spec"]["presence"] = presence
    assert [path for path, _ in faults_of(broken)] == ["spec.presence"]


@pytest.mark.parametrize("value", ["component:y", ["component:y"], "", 0, False, None, []])
def test_the_field_that_backstage_has_no_rule_for_may_be_one_text_or_nothing(value: Any) -> None:
    assert faults_of({**entity(), "spec": {**GOOD["Component"], "dependencyOf": value}}) == []


@pytest.mark.parametrize("value", [{}, 1, [1], [""], ["nokind"], "nokind", {"kind": "component", "name": "y"}])
def test_what_is_no_reference_there_is_a_fault(value: Any) -> None:
    broken = {**entity(), "spec": {**GOOD["Component"], "dependencyOf": value}}
    assert [path for path, _ in faults_of(broken)] == ["spec.dependencyOf"]


@pytest.mark.parametrize("owner", ["the odd team", "a:b:c", "a/b/c", " ", "x" * 300])
def test_a_reference_need_not_be_a_name_that_an_entity_can_have(owner: str) -> None:
    assert faults_of({**entity(), "spec": {**GOOD["Component"], "owner": owner}}) == []


def test_keys_that_differ_only_in_case_are_a_fault() -> None:
    assert [path for path, _ in faults_of({**entity(), "spec": {**GOOD["Component"], "Type": "x"}})] == ["spec.Type"]
    assert faults_of({**entity(), "spec": {**GOOD["Component"], "more": ["x", "X"]}}) == []


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(["kind", "apiVersion", "metadata", "spec"]), ANY)
def test_any_value_anywhere_is_judged_and_never_an_error(kind: str, part: str, value: Any) -> None:
    assert isinstance(faults_of({**entity(kind), part: value}), list)
    assert isinstance(faults_of(value), list)


@given(
    st.sampled_from(sorted(GOOD)),
    st.sampled_from(["name", "namespace", "title", "labels", "annotations", "tags", "links"]),
    ANY,
)
def test_any_metadata_is_judged_and_never_an_error(kind: str, part: str, value: Any) -> None:
    assert isinstance(faults_of(entity(kind, **{part: value})), list)


@given(
    st.sampled_from(sorted(GOOD)), st.dictionaries(st.sampled_from(sorted({f for s in SPECS.values() for f in s})), ANY)
)
def test_any_spec_is_judged_and_never_an_error(kind: str, spec: dict[str, Any]) -> None:
    assert isinstance(faults_of({**entity(kind), "spec": spec}), list)
