"""JSON Schema becomes Python types: readable, valid, and never narrower than the schema."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from portal.catalogue.stubs import TYPING, Stubs
from tests.catalogue.accepts import Types
from tests.catalogue.making import gathered, listed, properties

POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"]}


def module(*tools: Any) -> str:
    text = Stubs(gathered("srv", *tools)).module("srv").stubs
    ast.parse(text)
    return text.removeprefix(TYPING).strip()


def parameter(schema: Any) -> str:
    """Return the stub text for one required parameter ``x``."""
    return module(listed("f", inputs=properties(x=schema))).replace("async def f(x: ", "").replace(") -> Any: ...", "")


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "str"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "null"}, "None"),
        ({}, "Any"),
        (True, "Any"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "string", "nullable": True}, "str | None"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "int | None"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "format": "date"}]}, "str"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "float"),
        ({"anyOf": [{"type": "string"}, {}]}, "Any"),
        ({"enum": ["open", "closed"]}, 'Literal["open", "closed"]'),
        ({"enum": ["a", None, 3, True]}, 'Literal["a", 3, True] | None'),
        ({"type": "string", "enum": ["a"], "nullable": True}, 'Literal["a"] | None'),
        ({"anyOf": [{"const": "a"}, {"const": "b"}, {"type": "null"}]}, 'Literal["a", "b"] | None'),
        ({"const": 'say "hi"\n\\'}, r'Literal["say \"hi\"\n\\"]'),
        ({"enum": [1.5, 2]}, "Literal[2] | float"),
        ({"enum": ["x" * 500]}, "str"),
        ({"enum": [str(n) for n in range(101)]}, "str"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"type": "array"}, "list[Any]"),
        ({"items": {"type": "integer"}}, "list[int]"),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
            "list[int | str]",
        ),
        ({"type": "array", "items": [{"type": "integer"}], "additionalItems": False}, "list[int]"),
        ({"type": "object"}, "dict[str, Any]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        ({"type": "object", "patternProperties": {"^x": {"type": "string"}}}, "dict[str, str]"),
        ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, "str"),
        ({"allOf": [{"type": ["integer", "string"]}, {"type": "number"}]}, "int"),
        ({"type": "string", "not": {"const": ""}}, "str"),
    ],
)
def test_a_schema_has_the_tightest_simple_type(schema: Any, text: str) -> None:
    assert parameter(schema) == text


def test_an_object_is_a_typed_dict_named_after_its_place() -> None:
    assert module(listed("f", inputs=properties(origin=POINT))).splitlines() == [
        "class Origin(TypedDict): x: float; y: float",
        "async def f(origin: Origin) -> Any: ...",
    ]


def test_optional_keys_and_further_keys_are_part_of_the_type() -> None:
    schema = {**POINT, "required": ["x"], "additionalProperties": {"type": "string"}}
    assert "class Origin(TypedDict, extra_items=str): x: float; y: NotRequired[float]" in module(
        listed("f", inputs=properties(origin=schema))
    )


def test_keys_that_python_cannot_write_use_the_functional_form() -> None:
    keys = {"a-b": {"type": "integer"}, "class": {}, "list": {"type": "array"}, "__typename": {}, 'q"\n': {}, "ﬁ": {}}
    schema = {"type": "object", "properties": keys}
    assert module(listed("f", inputs=properties(x=schema))).splitlines()[0] == (
        'X = TypedDict("X", {"a-b": NotRequired[int], "class": NotRequired[Any], "list": NotRequired[list[Any]], '
        r'"__typename": NotRequired[Any], "q\"\n": NotRequired[Any], "ﬁ": NotRequired[Any]})'
    )


def test_references_and_recursion_have_names() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
            }
        },
        **properties(head={"$ref": "#/$defs/Node"}, other={"$ref": "#/$defs/Node"}),
    }
    assert module(listed("f", inputs=schema)).splitlines() == [
        "class Node(TypedDict): value: int; next: Node | None",
        "async def f(head: Node, other: Node) -> Any: ...",
    ]


def test_a_reference_into_the_place_itself_is_recursion_too() -> None:
    tree = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/properties/tree"}},
        },
        "required": ["name"],
    }
    assert module(listed("f", inputs=properties(tree=tree))).splitlines()[0] == (
        "class Tree(TypedDict): name: str; children: NotRequired[list[Tree]]"
    )


def test_recursion_without_a_record_ends_in_any() -> None:
    schema = {
        "$defs": {"Json": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/Json"}}]}},
        **properties(x={"$ref": "#/$defs/Json"}),
    }
    assert "f(x: str | list[Any])" in module(listed("f", inputs=schema))


def test_a_record_that_is_nullable_stays_nullable_when_it_holds_itself() -> None:
    node = {"type": ["object", "null"], "properties": {"next": {"$ref": "#/properties/node"}}, "required": ["next"]}
    assert "class Node(TypedDict): next: Node | None" in module(listed("f", inputs=properties(node=node)))


def test_all_of_is_one_record_and_alternatives_are_several() -> None:
    both = {"allOf": [POINT, {"properties": {"z": {"type": "integer"}}, "required": ["z"]}]}
    assert "class A(TypedDict): x: float; y: float; z: int" in module(listed("f", inputs=properties(a=both)))
    either = {"anyOf": [POINT, {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}]}
    assert "f(a: A | A2)" in module(listed("f", inputs=properties(a=either)))


def test_alternatives_that_only_require_are_no_types() -> None:
    schema = {**POINT, "required": [], "anyOf": [{"required": ["x"]}, {"required": ["y"]}]}
    assert "class A(TypedDict): x: NotRequired[float]; y: NotRequired[float]" in module(
        listed("f", inputs=properties(a=schema))
    )


def test_equal_shapes_share_a_name_and_unequal_ones_never_do() -> None:
    tools = [
        listed("a", inputs=properties(origin=POINT)),
        listed("b", inputs=properties(target=POINT)),
        listed("c", inputs=properties(origin={"type": "object", "properties": {"z": {"type": "string"}}})),
    ]
    assert module(*tools).splitlines() == [
        "class Origin(TypedDict): x: float; y: float",
        "class Origin2(TypedDict): z: NotRequired[str]",
        "async def a(origin: Origin) -> Any: ...",
        "async def b(target: Origin) -> Any: ...",
        "async def c(origin: Origin2) -> Any: ...",
    ]


def test_equal_rings_share_names_wherever_they_are_entered() -> None:
    defs = {
        "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
        "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
    }
    text = module(
        listed("f", inputs={"$defs": defs, **properties(x={"$ref": "#/$defs/A"})}),
        listed("g", inputs={"$defs": defs, **properties(x={"$ref": "#/$defs/B"})}),
    )
    assert text.count("TypedDict") == 2
    assert "g(x: B)" in text


def test_a_type_never_hides_a_tool_or_a_word_of_typing() -> None:
    text = module(
        listed("Origin", inputs=properties(origin=POINT)), listed("g", inputs=properties(any={**POINT, "title": "Any"}))
    )
    assert "async def Origin(origin: Origin2)" in text
    assert "class Any2(TypedDict)" in text


def test_titles_name_types() -> None:
    output = {**POINT, "title": "Page[Entity Summary]"}
    assert "-> PageEntitySummary: ..." in module(listed("f", output=output))


def test_an_answer_that_is_only_a_result_is_unwrapped_as_it_will_be() -> None:
    wrapped = {"type": "object", "properties": {"result": {"type": "array", "items": POINT}}, "required": ["result"]}
    assert "async def f() -> list[Result]: ..." in module(listed("f", output=wrapped))
    optional = {"type": "object", "properties": {"result": {"type": "string"}}}
    assert "class FResult(TypedDict): result: NotRequired[str]" in module(listed("f", output=optional))


def test_fixed_arrays_are_tuples_in_answers_only() -> None:
    pair = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2}
    text = module(listed("f", inputs=properties(x=pair), output=properties(pair=pair)))
    assert "class FResult(TypedDict): pair: tuple[int, str]" in text
    assert "f(x: list[int | str])" in text


def test_parameters_are_positional_in_the_order_that_the_module_tells_the_sandbox() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a-1": {"type": "string"}}, "required": ["a-1"]}
    made = Stubs(gathered("srv", listed("do-it", inputs=schema))).module("srv")
    assert made.name == "srv"
    assert [(f.name, f.parameters) for f in made.functions] == [("do_it", ("a_1", "b"))]
    assert "async def do_it(a_1: str, b: Any = ...) -> Any: ..." in made.stubs


def test_a_schema_that_is_wide_everywhere_still_gives_a_bounded_stub() -> None:
    defs = {
        f"d{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "abcdef"}}
        for n in range(30)
    }
    text = module(listed("f", inputs={"$defs": defs | {"d30": {}}, **properties(x={"$ref": "#/$defs/d0"})}))
    assert len(text) < 20_000
    options = {f"u{n}": {"anyOf": [{"type": "array", "items": {"$ref": f"#/$defs/u{n + 1}"}}] * 2} for n in range(40)}
    assert (
        len(module(listed("f", inputs={"$defs": options | {"u40": {}}, **properties(x={"$ref": "#/$defs/u0"})})))
        < 20_000
    )


NAMES = st.sampled_from(["a", "b", "class", "x-y", "list", "__m", 'q"'])
LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", 1, None, True]},
        {"const": "k"},
        {"type": ["string", "null"]},
        {"$ref": "#/$defs/Tree"},
        {},
    ]
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda fields, needed, extra: {
            "type": "object",
            "properties": fields,
            "required": [name for name in fields if name in needed],
            **({} if extra is None else {"additionalProperties": extra}),
        },
        st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        st.sets(NAMES),
        st.none() | st.just(False) | inner,
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        _objects(inner)
        | st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda extra: {"type": "object", "additionalProperties": extra}, inner)
        | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda options: {"oneOf": options}, st.lists(inner, min_size=1, max_size=2))
        | st.builds(lambda one, two: {"allOf": [one, two]}, inner, inner)
        | st.builds(
            lambda items: {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)},
            st.lists(inner, min_size=1, max_size=2),
        )
    ),
    max_leaves=8,
)
TREE = {
    "type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    "required": ["kids"],
    "additionalProperties": False,
}
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["a", "k", "zz", 1, 2, 1.5, True, False, None, {"kids": []}, {"kids": [{"kids": []}]}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def _closed(schema: Any) -> Any:
    """Say of every object what the stubs assume of it: no keys but those that it names."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    return (
        {"additionalProperties": False, **made} if "properties" in schema and schema.get("type") == "object" else made
    )


@settings(max_examples=400)
@given(SCHEMAS, st.data())
def test_a_value_that_fits_the_schema_fits_the_type(schema: Any, data: st.DataObject) -> None:
    value = data.draw(VALUES | _values(schema, 3))
    root = {"$defs": {"Tree": TREE}, **properties(x=_closed(schema))}
    assume(Draft202012Validator(root).is_valid({"x": value}))
    output = {"$defs": {"Tree": TREE}, **properties(x=_closed(schema), other={})}
    text = Stubs(gathered("srv", listed("f", inputs=root, output=output))).module("srv").stubs
    types = Types(text)
    assert types.accept(types.parameter("f", "x"), value), text
    assert types.accept(types.returns("f"), {"x": value, "other": 1}), text


def _values(schema: Any, depth: int) -> st.SearchStrategy[Any]:
    """Draw values that are likely to fit a schema of SCHEMAS."""
    if "$ref" in schema or depth < 0:
        return st.sampled_from([{"kids": []}, {"kids": [{"kids": []}]}, None])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            return st.one_of([_values(option, depth - 1) for option in schema[keyword]])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return st.tuples(*(_values(item, depth - 1) for item in schema["prefixItems"])).map(list)
        return st.lists(_values(schema["items"], depth - 1), max_size=2)
    if schema.get("type") == "object":
        fields = {name: _values(inner, depth - 1) for name, inner in schema.get("properties", {}).items()}
        needed = {name: fields[name] for name in schema.get("required", [])}
        optional = {name: made for name, made in fields.items() if name not in needed}
        known = st.fixed_dictionaries(needed, optional=optional)
        extra = schema.get("additionalProperties")
        if not isinstance(extra, dict):
            return known
        more = st.dictionaries(st.sampled_from(["m", "n"]), _values(extra, depth - 1), max_size=1)
        return st.builds(lambda one, two: {**two, **one}, known, more)
    kinds = {
        "string": st.just("zz"),
        "integer": st.just(2),
        "number": st.just(1.5),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    names = schema.get("type", list(kinds))
    return st.one_of([kinds[name] for name in ([names] if isinstance(names, str) else names)])


def test_what_one_tool_gives_another_can_take() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    text = module(
        listed("give", output={"$defs": {"Node": node}, "$ref": "#/$defs/Node"}),
        listed("take", inputs={"$defs": {"Node": node}, **properties(node={"$ref": "#/$defs/Node"})}),
    )
    assert "give() -> Node: ..." in text
    assert "take(node: Node)" in text
