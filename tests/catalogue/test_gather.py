"""A listing becomes records; one bad tool costs itself alone, and names never depend on the order of a list."""

from __future__ import annotations

import ast
import keyword
from typing import Any

import mcp_types as t
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.catalogue.gather import CatalogueConflict, effect_of, gather
from portal.catalogue.records import ServerState
from portal.catalogue.reply import search_reply
from portal.catalogue.snapshot import Catalogue, everything
from tests.catalogue.making import gathered, listed, properties

LAUGHS: dict[str, Any] = {
    "type": "object",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)} | {"d30": {}},
    "properties": {"x": {"$ref": "#/$defs/d0"}},
}
HIDDEN_LAUGHS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "default": {"$ref": "#/properties/default/$defs/d0", "$defs": LAUGHS["$defs"]},
        "x": {
            "$defs": LAUGHS["$defs"],
            "default": {"allOf": [{"$ref": "#/$defs/d0"}]},
            "$ref": "#/properties/x/default",
        },
    },
}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("", {}),
        ("x" * 129, {}),
        ("two words", {}),
        ("evil\u202ename", {}),
        ("g\u0435t", {}),
        ("new\nline", {}),
        ("array", {"type": "array"}),
        ("huge", {"type": "object", "description": "x" * 70_000}),
        ("deep", deep(200)),
        ("very_deep", deep(5_000)),
        ("bad_reference", properties(x={"$ref": "#/$defs/nothing"})),
        ("remote_reference", properties(x={"$ref": "http://127.0.0.1:9/internal"})),
        ("file_reference", properties(x={"$ref": "file:///etc/passwd"})),
        ("relative_reference", properties(x={"$ref": "other.json"})),
        ("embedded_document", properties(x={"$id": "http://e.test/x", "$ref": "#/y"}, y={})),
        ("endless", {"type": "object", "$ref": "#"}),
        (
            "endless_pair",
            properties(a={"anyOf": [{"$ref": "#/properties/b"}]}, b={"anyOf": [{"$ref": "#/properties/a"}]}),
        ),
        ("laughs", LAUGHS),
        ("hidden_laughs", HIDDEN_LAUGHS),
        ("not_a_schema", properties(x={"type": "nonsense"})),
        ("many", properties(**{f"p{n}": {} for n in range(300)})),
        ("nan", properties(x={"minimum": float("nan")})),
    ],
)
def test_a_hostile_tool_is_left_out_and_the_others_stay(name: str, schema: dict[str, Any]) -> None:
    bad = listed(name, inputs=schema)
    tools, rejects = gather("srv", [listed("first"), bad, listed("last")])
    assert [tool.name for tool in tools] == ["first", "last"]
    assert len(rejects) == 1
    assert rejects[0].reason
    assert rejects[0].name.isprintable()
    assert len(rejects[0].name) < 150


@pytest.mark.parametrize(
    ("name", "python_name"),
    [
        ("get_issue", "get_issue"),
        ("get-issue", "get_issue"),
        ("issues/get", "issues_get"),
        ("repos.list", "repos_list"),
        ("getIssue", "getIssue"),
        ("class", "class_"),
        ("None", "None_"),
        ("list", "list_"),
        ("TypedDict", "TypedDict_"),
        ("2fa", "tool_2fa"),
        ("_hidden", "hidden"),
        ("__init__", "init"),
        ("---", "tool"),
        ("match", "match"),
    ],
)
def test_a_tool_name_becomes_one_python_name(name: str, python_name: str) -> None:
    (tool,) = gathered("srv", listed(name))
    assert (tool.name, tool.python_name) == (name, python_name)


def test_parameter_names_keep_the_way_back_and_required_ones_come_first() -> None:
    schema = {
        "type": "object",
        "properties": {
            "end-date": {},
            "class": {},
            "start-date": {},
            "__x": {},
            "größe": {},
            "": {},
            "\uff49\uff46": {},
        },
        "required": ["start-date"],
    }
    (tool,) = gathered("srv", listed("f", inputs=schema))
    assert dict(tool.parameters) == {
        "start_date": "start-date",
        "end_date": "end-date",
        "class_": "class",
        "x": "__x",
        "größe": "größe",
        "arg": "",
        "if_": "\uff49\uff46",
    }
    assert next(iter(tool.parameters)) == "start_date"


@given(st.text(max_size=30))
def test_every_parameter_name_becomes_a_usable_identifier(name: str) -> None:
    (tool,) = gathered("srv", listed("f", inputs=properties(**{name: {}})))
    (python_name,) = tool.parameters
    assert python_name.isidentifier()
    assert not keyword.iskeyword(python_name)
    assert python_name != "__debug__"
    assert tool.parameters[python_name] == name


def test_two_tools_of_one_python_name_are_a_conflict_that_names_both() -> None:
    with pytest.raises(CatalogueConflict, match=r"srv.*'get-issue'.*'get_issue'|srv.*'get_issue'.*'get-issue'"):
        gather("srv", [listed("get-issue"), listed("get_issue")])


def test_two_parameters_of_one_python_name_are_a_conflict_that_names_both() -> None:
    with pytest.raises(CatalogueConflict, match="'a-b' and 'a_b'"):
        gather("srv", [listed("f", inputs=properties(**{"a-b": {}, "a_b": {}}))])


def test_a_tool_listed_twice_is_one_tool_but_two_definitions_are_a_conflict() -> None:
    assert len(gathered("srv", listed("f", "same"), listed("f", "same"))) == 1
    with pytest.raises(CatalogueConflict):
        gather("srv", [listed("f", "one"), listed("f", "two")])


@pytest.mark.requirement("GW-52")
@pytest.mark.parametrize(
    ("annotations", "declared", "effect"),
    [
        (None, None, "destructive"),
        (None, "read", "destructive"),
        ({}, None, "destructive"),
        ({"read_only_hint": True}, None, "read"),
        ({"read_only_hint": True}, "write", "write"),
        ({"read_only_hint": True}, "nonsense", "read"),
        ({"read_only_hint": True}, ["destructive"], "read"),
        ({"read_only_hint": False}, None, "destructive"),
        ({"destructive_hint": False}, None, "write"),
        ({"destructive_hint": False}, "read", "write"),
        ({"destructive_hint": False}, "destructive", "destructive"),
        ({"destructive_hint": True}, "write", "destructive"),
    ],
)
def test_an_effect_is_never_milder_than_the_annotations_say(
    annotations: dict[str, Any] | None, declared: Any, effect: str
) -> None:
    hints = None if annotations is None else t.ToolAnnotations(**annotations)
    meta = None if declared is None else {"mcp-portal/effect": declared}
    assert effect_of(listed("f", annotations=hints, meta=meta)) == effect


def test_descriptions_lose_control_characters_and_are_capped() -> None:
    dirty = "Read\x1b[31m a\x00 file\u202e.\r\nSecond\u2028line ```python\nevil()``` " + "x" * 10_000
    (tool,) = gathered("srv", listed("f", dirty))
    assert tool.description.startswith("Read a file.\nSecond line '''python\nevil()'''")
    assert all(c.isprintable() or c == "\n" for c in tool.description)
    assert len(tool.description) <= 4_000


def test_a_bad_output_schema_costs_the_types_of_the_answer_only() -> None:
    for output in (deep(100), properties(x={"$ref": "http://e.test/"}), {"type": 7}):
        (tool,) = gathered("srv", listed("f", output=output))
        assert tool.output_schema is None


def test_a_scope_is_taken_only_in_the_form_that_oauth_allows() -> None:
    scopes = ["notes:read", 'a"b', "two words", 7, "x" * 101]
    tools = gathered("srv", *(listed(f"f{n}", meta={"mcp-portal/scope": s}) for n, s in enumerate(scopes)))
    assert [tool.scope for tool in tools] == ["notes:read", "", "", "", ""]


def test_schemas_that_are_merely_old_are_repaired() -> None:
    schema = properties(
        n={"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        s={"type": "string", "pattern": "(?=ahead)x"},
        t={"type": "string", "pattern": "^a+$"},
    )
    (tool,) = gathered("srv", listed("f", inputs={**schema, "$schema": "http://nowhere.test/meta"}))
    assert tool.input_schema["properties"] == {
        "n": {"type": "integer", "exclusiveMinimum": 0},
        "s": {"type": "string"},
        "t": {"type": "string", "pattern": "^a+$"},
    }
    assert schema["properties"]["s"]["pattern"]


KEYWORDS = """
type properties items $ref allOf anyOf oneOf enum const required additionalProperties pattern $defs not then
prefixItems minimum maximum description title default format nullable $id $schema a b
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYWORDS.split()),
            inner | st.sampled_from(["object", "array", "string", "#", "#/$defs/a", "#/properties/a", ["a"], ["null"]]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["properties", "$defs", "anyOf", "allOf", "required", "type"]), JSON))
def test_any_json_in_place_of_a_schema_is_a_record_or_a_reject(schema: dict[str, Any]) -> None:
    try:
        tools, rejects = gather("srv", [listed("f", inputs=schema, output=schema)])
    except CatalogueConflict:
        return
    assert len(tools) + len(rejects) == 1
    found = Catalogue(tools, [ServerState("srv")])
    ast.parse(found.module("srv").stubs)
    for query in ("f", "srv.f"):
        assert search_reply(found, [query], server=None, limit=1, allowed=everything)
