"""Relations stand on both ends, and a target that is missing stays visible."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.refs import BadRef, make_ref, parse_named, parse_ref
from servers.catalog.relations import OPPOSITE, REFERENCES, both_ways, declared

NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def entities(draw: st.DrawFn) -> list[tuple[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = {}
    for kind, name in draw(st.lists(st.tuples(st.sampled_from(sorted(REFERENCES)), NAMES), max_size=10)):
        spec: dict[str, Any] = {}
        for rule in REFERENCES[kind]:
            texts = draw(st.lists(NAMES if rule.kind else NAMES.map("component:{}".format), max_size=3))
            if texts:
                spec[rule.field] = texts if draw(st.booleans()) else texts[0]
        data = {"kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        found[str(make_ref(kind, "default", name))] = data
    return list(found.items())


@given(entities())
def test_every_edge_stands_on_both_ends_that_exist(given_entities: list[tuple[str, dict[str, Any]]]) -> None:
    relations = both_ways(given_entities)
    assert set(relations) == {ref for ref, _ in given_entities}
    for ref, edges in relations.items():
        assert len(set(edges)) == len(edges)
        for kind, target in edges:
            if target in relations:
                assert (OPPOSITE[kind], ref) in relations[target]


@given(entities())
def test_no_edge_is_invented_or_lost(given_entities: list[tuple[str, dict[str, Any]]]) -> None:
    said = {(ref, kind, target) for ref, data in given_entities for kind, target in declared(data)}
    known = {ref for ref, _ in given_entities}
    expected = said | {(target, OPPOSITE[kind], ref) for ref, kind, target in said if target in known}
    assert {(ref, k, t) for ref, edges in both_ways(given_entities).items() for k, t in edges} == expected


def test_each_field_makes_the_relation_that_backstage_makes() -> None:
    data = {
        "kind": "Component",
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {
            "owner": "team", "system": "default/sys", "subcomponentOf": "whole", "providesApis": ["out"],
            "consumesApis": ["other/in"], "dependsOn": ["Resource:db"], "dependencyOf": ["component:y"],
        },
    }  # fmt: skip
    assert sorted(declared(data)) == [
        ("consumesApi", "api:other/in"),
        ("dependencyOf", "component:shop/y"),
        ("dependsOn", "resource:shop/db"),
        ("ownedBy", "group:shop/team"),
        ("partOf", "component:shop/whole"),
        ("partOf", "system:default/sys"),
        ("providesApi", "api:shop/out"),
    ]


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("name", "component:ns/name"),
        ("Other/Name", "component:other/name"),
        ("API:Name", "api:ns/name"),
        ("api:other/name", "api:other/name"),
    ],
)
def test_references_have_the_defaults_of_their_field_and_no_case(text: str, ref: str) -> None:
    assert str(parse_ref(text, kind="component", namespace="ns")) == ref


@pytest.mark.parametrize("text", ["", ":", "/", ":x", "x:", "/x", "x/", "a:/x", "a:b/", "https://x.test/catalog/a/b/c"])
def test_what_has_an_empty_part_is_no_reference(text: str) -> None:
    if not text.startswith("https"):
        with pytest.raises(BadRef):
            parse_ref(text, kind="component")
    with pytest.raises(BadRef):
        parse_named(text.replace("https", "ftp"))


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("a:b:c", "a:ns/b:c"), ("a/b/c", "component:a/b/c"), ("a/b:c", "component:a/b:c"), ("a b", "component:ns/a b"),
        (" ", "component:ns/ "), ("x" * 90, f"component:ns/{'x' * 90}"),
    ],
)  # fmt: skip
def test_a_file_may_name_what_no_entity_can_be_called_but_a_caller_may_not(text: str, ref: str) -> None:
    assert str(parse_ref(text, kind="component", namespace="ns")) == ref
    with pytest.raises(BadRef):
        parse_named(text)


def test_a_dependency_may_be_one_text_and_nothing_is_none() -> None:
    data = {"kind": "Resource", "metadata": {"name": "x"}, "spec": {"dependencyOf": "component:y", "dependsOn": []}}
    assert declared(data) == [("dependencyOf", "component:default/y")]
    for empty in ("", 0, False, None):
        assert declared({**data, "spec": {"dependencyOf": empty}}) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://x.test/catalog/default/component/shop", "http://x.test/base/catalog/default/component/shop/docs?a=1#b",
        "https://x.test/catalog/default/component/sh%6Fp",
    ],
)  # fmt: skip
def test_the_web_address_of_an_entity_is_a_reference(url: str) -> None:
    named = parse_named(url)
    assert (named.kind, named.namespace, named.name) == ("component", "default", "shop")


@pytest.mark.parametrize(
    "url",
    [
        "https://x.test/",
        "https://x.test/catalog/default",
        "https://x.test/catalog/a/b/c%2Fd",
        "http://[",
        "https://x/catalog/a/b/c:d",
    ],
)
def test_other_web_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadRef):
        parse_named(url)


@given(st.text())
def test_any_text_is_a_reference_or_a_bad_one(text: str) -> None:
    with suppress(BadRef):
        assert parse_named(text).name
