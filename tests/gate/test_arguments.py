"""Arguments are judged by the tool's own schema, quickly whatever the schema, and a misfit says what to change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from portal.catalogue.records import Tool
from portal.gate.arguments import Arguments
from portal.sandbox.contract import CallFailed
from tests.gate.standing import GET_ISSUE

JUDGE = Arguments()


def tool(schema: dict[str, Any], **parameters: str) -> Tool:
    names = parameters or {name: name for name in schema.get("properties", {})}
    return Tool("s", "t", "t", "", "read", schema, parameters=names)


def refusal(which: Tool, **arguments: Any) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        Arguments().check(which, arguments)
    return failed.value


def judged(which: Tool, **arguments: Any) -> str:
    try:
        JUDGE.check(which, arguments)
    except CallFailed as failed:
        return failed.message
    return "fits"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, "TypeError", "gitlab.get_issue: project_id is missing"),
        (
            {"project": "x"},
            "TypeError",
            (
                'gitlab.get_issue has no parameter "project"; did you mean project_id? '
                "It takes project_id, state, count, labels, who, from_"
            ),
        ),
        (
            {"zzz": 1},
            "TypeError",
            'gitlab.get_issue has no parameter "zzz". It takes project_id, state, count, labels, who, from_',
        ),
        ({"project_id": 7}, "ValueError", "gitlab.get_issue: project_id must be string, got 7"),
        ({"project_id": ""}, "ValueError", 'gitlab.get_issue: project_id must have at least 1 characters, got ""'),
        (
            {"project_id": "x", "state": "open"},
            "ValueError",
            'gitlab.get_issue: state must be one of "opened", "closed", got "open"; did you mean "opened"?',
        ),
        ({"project_id": "x", "count": 0}, "ValueError", "gitlab.get_issue: count must be at least 1, got 0"),
        ({"project_id": "x", "count": 101}, "ValueError", "gitlab.get_issue: count must be at most 100, got 101"),
        ({"project_id": "x", "labels": ["a", 1]}, "ValueError", "gitlab.get_issue: labels[1] must be string, got 1"),
        ({"project_id": "x", "who": 1}, "ValueError", "gitlab.get_issue: who must be string or null, got 1"),
        (
            {"project_id": "x", "count": None},
            "ValueError",
            "gitlab.get_issue: count must be integer, got null (leave it out instead)",
        ),
        (
            {"project_id": "x", "from_": "now"},
            "ValueError",
            'gitlab.get_issue: from_ must match the pattern "^[0-9]{4}$", got "now"',
        ),
        (
            {"project_id": 1, "count": 0},
            "ValueError",
            "gitlab.get_issue: project_id must be string, got 1; count must be at least 1, got 0",
        ),
    ],
)
def test_a_misfit_names_the_parameter_and_what_was_expected(
    arguments: dict[str, Any], error: str, message: str
) -> None:
    failed = refusal(GET_ISSUE, **arguments)
    assert (failed.message, failed.error) == (message, error)


def test_nested_faults_say_where() -> None:
    nested = tool(
        {"properties": {"a": {"properties": {"b": {"items": {"required": ["c"], "additionalProperties": False}}}}}}
    )
    assert '[0]["c"]' in refusal(nested, a={"b": [{}]}).message
    assert 'a["b"][0] does not accept 1' in refusal(nested, a={"b": [{"d": 1}]}).message
    closed = tool({"properties": {"a": {"properties": {"b": {}}, "additionalProperties": False}}})
    assert refusal(closed, a={"d": 1}).message == 's.t: a has no key "d"'


def test_long_values_and_long_options_are_cut() -> None:
    long = tool({"properties": {"a": {"enum": [f"option {number}" * 50 for number in range(500)]}}})
    assert len(refusal(long, a="x" * 3_000).message) < 1_200


def test_a_huge_misfit_is_refused_without_an_inventory() -> None:
    failed = refusal(tool({"properties": {"a": {"items": {"type": "string"}}}}), a=list(range(100_000)))
    assert failed.message == "s.t: the arguments do not fit its schema; search for s.t shows it"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2, "a": 3}, object(), {1, 2}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    assert refusal(tool({"properties": {"a": {}}}), a=value).error in {"ValueError", "TypeError"}


def test_lone_surrogates_and_big_numbers_are_judged_like_any_value() -> None:
    anything = tool({"properties": {"a": {"type": ["string", "integer"]}}})
    for value in ("\ud800", 2**200, -(2**70)):
        assert JUDGE.check(anything, {"a": value}).values == {"a": value}


def test_the_digest_does_not_depend_on_the_order_of_arguments() -> None:
    two = tool({"properties": {"a": {}, "b": {}}})
    assert JUDGE.check(two, {"a": 1, "b": {"x": 1, "y": 2}}) == JUDGE.check(two, {"b": {"y": 2, "x": 1}, "a": 1})


def test_a_changed_schema_is_compiled_again() -> None:
    judge = Arguments()
    judge.check(tool({"properties": {"a": {"type": "string"}}}), {"a": "x"})
    with pytest.raises(CallFailed):
        judge.check(tool({"properties": {"a": {"type": "integer"}}}), {"a": "x"})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}},
        {"properties": {"a": {"$ref": "file:///etc/hostname"}}},
        {"properties": {"a": {"pattern": "(?=x)y"}}},
        {"properties": {"a": {"type": "nonsense"}}},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
    ],
)
def test_a_schema_that_does_not_compile_makes_the_tool_uncallable(schema: dict[str, Any]) -> None:
    assert "cannot be called" in refusal(tool(schema), a="x").message


def test_a_pattern_made_to_hang_does_not() -> None:
    assert refusal(tool({"properties": {"a": {"pattern": "^(a|a|aa)+$"}}}), a="a" * 3_000 + "b").error == "ValueError"


def nested(levels: int, leaf: Any) -> Any:
    value = leaf
    for _ in range(levels):
        value = {"c": value}
    return value


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("leaf", [0, 1, "x"])
def test_a_schema_whose_branches_double_with_every_level_is_judged_at_once(keyword: str, leaf: Any) -> None:
    branch = {"properties": {"c": {"$ref": "#/$defs/a"}}}
    schema = {
        "$defs": {"a": {"type": ["object", "integer"], "maximum": 0, keyword: [branch, branch, branch]}},
        "properties": {"a": {"$ref": "#/$defs/a"}},
    }
    # Without the guard this never returns.
    assert judged(tool(schema), a=nested(60, leaf)).endswith(("fits", "search for s.t shows it"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GET_ISSUE.parameters, "other"]), JSON, max_size=6))
def test_the_judgement_agrees_with_the_reference_validator(arguments: dict[str, Any]) -> None:
    named = {GET_ISSUE.parameters.get(name, name): value for name, value in arguments.items()}
    expected = Draft202012Validator(dict(GET_ISSUE.input_schema)).is_valid(named)
    verdict = judged(GET_ISSUE, **arguments)
    assert (verdict == "fits") == expected
    assert verdict == "fits" or verdict.startswith("gitlab.get_issue")
    assert len(verdict) < 1_500
