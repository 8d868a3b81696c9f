"""Text becomes values or a fault with its line, whatever the text is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.reading import MAX_DEPTH, MAX_NODES, BadYaml, Document, documents, load, load_json


def test_scalars_follow_yaml_1_2_as_in_backstage() -> None:
    text = "a: no\nb: 2026-01-01\nc: 12:30\nd: 010\ne: 0x1f\nf: 1.5e3\ng: ~\nh: 'true'\ni: true\nj: .inf\nk: 1_000\n"
    assert load(text) == {
        "a": "no", "b": "2026-01-01", "c": "12:30", "d": 10, "e": 31, "f": 1500.0, "g": None, "h": "true", "i": True,
        "j": None, "k": "1_000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.0", 1), ("1.", 1), ("-0.0", 0), ("-.5e3", -500), ("1e21", 1e21), ("-.INF", None), (".NaN", None), ("1.5e400", None),
        ("0O17", "0O17"), ("0X1F", "0X1F"), ("0b11", "0b11"), ("nULL", "nULL"), ("tRue", "tRue"), ("!!str 1", "1"),
        ("! 1", "1"), ("!!str no", "no"), ("!!str", ""),
    ],
)  # fmt: skip
def test_a_scalar_is_the_json_value_that_backstage_stores(text: str, value: Any) -> None:
    found = load(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_the_text_of_their_values() -> None:
    assert load("{1: a, true: b, 2.0: c, '3.0': d, ~: e, 2026-01-01: f}") == {
        "1": "a", "true": "b", "2": "c", "3.0": "d", "": "e", "2026-01-01": "f"
    }  # fmt: skip
    with pytest.raises(BadYaml, match="twice"):
        load("{1: a, 1.0: b}")


def test_the_last_line_break_before_a_marker_is_part_of_a_block_scalar() -> None:
    found = [
        d.value["a"]
        for d in documents("a: |\n  x\n---\na: |-\n  x\n---\na: |+\n  x\n\n---\na: >\n  x")
        if isinstance(d, Document)
    ]
    assert found == ["x\n", "x", "x\n\n", "x"]


def test_a_broken_document_does_not_hide_its_neighbours() -> None:
    found = list(documents("a: 1\n---\nb: [1,\n---\nc: 3\n"))
    assert [d.value if isinstance(d, Document) else d.line for d in found] == [{"a": 1}, 4, {"c": 3}]


def test_directives_before_a_document_change_nothing() -> None:
    found = [
        d.value
        for d in documents("%YAML 1.2\n# c\n--- # d\na: no\n...\n%TAG ! x\n---\nb: |\n  %c\n")
        if isinstance(d, Document)
    ]
    assert found == [{"a": "no"}, {"b": "%c\n"}]


def test_lines_are_those_of_the_whole_file() -> None:
    first, second = documents("# head\na: 1\n---\n# more\nspec:\n  owner: x\n")
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.line, second.line, second.line_of("spec.owner"), second.line_of("spec.owner.deep.er")) == (2, 5, 6, 6)


def test_a_marker_inside_a_block_scalar_ends_the_document_as_yaml_says() -> None:
    found = [d.value for d in documents("a: |\n  x\n--- # next\nb: 2\n...\n---\nc: 3\n") if isinstance(d, Document)]
    assert found == [{"a": "x\n"}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!python/object/apply:os.system ['true']", "tags"),
        ("a: !include x", "tags"),
        ("a: 1\na: 2", "twice"),
        ("? [x]\n: 1", "plain text"),
        ("a: &x [*x]", "deeper"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "deeper"),
        ("[" * 100_000, "deeper"),
        ("\n".join("  " * i + "a:" for i in range(200)), "deeper"),
        ("a: \x00", "not YAML"),
        ("a: *nobody", "not YAML"),
        ("a: 1\n%b: 2", "not YAML"),
        ("--- a: 1", "not YAML"),
    ],
)
def test_hostile_text_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(BadYaml, match=said):
        load(text)


def test_aliases_work_and_a_bomb_of_them_does_not() -> None:
    assert load("a: &x {k: 1}\nb: *x") == {"a": {"k": 1}, "b": {"k": 1}}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(BadYaml, match=f"more than {MAX_NODES} values"):
        load("\n".join(lines))


@pytest.mark.parametrize("text", ["{", "NaN", "1" * 5_000, "[" * 60 + "]" * 60, "[" * 100_000, ""])
def test_json_that_is_none_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(BadYaml):
        load_json(text)


def test_many_small_bombs_in_one_file_share_its_bound() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b, *b, *b]\n"
    found = list(documents("---\n".join([bomb] * 400)))
    assert any(isinstance(one, Document) for one in found)
    assert isinstance(found[-1], BadYaml)


@given(st.text())
def test_any_text_gives_documents_or_faults_and_never_another_error(text: str) -> None:
    for found in documents(text):
        assert isinstance(found, Document | BadYaml)


# JSON escapes characters beyond these as surrogate pairs, which YAML does not know.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_as_json_reads_as_itself(value: Any) -> None:
    assert load(json.dumps(value)) == load_json(json.dumps(value)) == value
