"""Definitions become operations, and no definition can break or stall the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.catalog.apis import BadDefinition, parse


def brief(kind: str, text: str) -> list[tuple[Any, ...]]:
    return [(o.kind, o.name, o.method, o.path, o.input, o.output) for o in parse(kind, text).operations]


def test_openapi_3_gives_an_operation_per_path_and_method() -> None:
    text = """
openapi: 3.1.0
info: {title: Shop, version: 1.2.3}
paths:
  /items/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    get:
      operationId: getItem
      summary: Read an item
      deprecated: true
      parameters: [{name: lang, in: query}]
      responses: {200: {content: {application/json: {schema: {$ref: "#/components/schemas/Item"}}}}}
    put:
      requestBody: {$ref: "#/components/requestBodies/Item"}
      responses: {204: {description: done}}
components:
  parameters: {Id: {name: id, in: path, required: true}}
  requestBodies: {Item: {content: {application/json: {schema: {type: array, items: {type: string}}}}}}
"""
    parsed = parse("openapi", text)
    assert (parsed.title, parsed.version) == ("Shop", "1.2.3")
    assert [o.deprecated for o in parsed.operations] == [True, False]
    assert brief("openapi", text) == [
        ("http", "getItem", "GET", "/items/{id}", "id, lang?", "200 Item"),
        ("http", None, "PUT", "/items/{id}", "id, body list of string", "204"),
    ]


def test_swagger_2_has_its_base_path_and_body() -> None:
    text = json.dumps(
        {
            "swagger": "2.0",
            "basePath": "/v2/",
            "paths": {
                "/pets": {
                    "post": {
                        "parameters": [{"in": "body", "name": "pet", "schema": {"$ref": "#/definitions/Pet"}}],
                        "responses": {"default": {"schema": {"type": "object"}}},
                    }
                }
            },
        }
    )
    assert brief("openapi", text) == [("http", None, "POST", "/v2/pets", "body Pet", "default object")]


def test_asyncapi_2_and_3_are_read_from_the_side_of_the_application() -> None:
    second = """
asyncapi: 2.6.0
channels:
  orders/placed:
    subscribe: {operationId: placed, message: {$ref: "#/components/messages/OrderPlaced"}}
  orders/cancel:
    publish: {message: {oneOf: [{name: Cancel}, {payload: {type: string}}]}}
"""
    third = """
asyncapi: 3.0.0
channels:
  placed: {address: orders.placed, messages: {OrderPlaced: {$ref: "#/components/messages/OrderPlaced"}}}
operations:
  tellPlaced: {action: send, channel: {$ref: "#/channels/placed"}, summary: An order was placed}
  hearPlaced: {action: receive, channel: {$ref: "#/channels/placed"}, messages: [{name: Other}]}
"""
    assert brief("asyncapi", second) == [
        ("publish", "placed", None, "orders/placed", None, "OrderPlaced"),
        ("subscribe", None, None, "orders/cancel", "Cancel or string", None),
    ]
    assert brief("asyncapi", third) == [
        ("publish", "tellPlaced", None, "orders.placed", None, "OrderPlaced"),
        ("subscribe", "hearPlaced", None, "orders.placed", "Other", None),
    ]


def test_graphql_gives_the_fields_of_its_root_types() -> None:
    text = '''
"""The entry."""
schema @note(text: "a } b") { query: Root mutation: Change }
directive @note(text: String) on SCHEMA
type Other implements Node & Named @key(fields: "id") { id: ID! }
type Root {
  "One item."
  item(id: ID!, filter: Filter = {open: true}): Item
  """ All of
  them. """ items: [Item!]! @deprecated(reason: "no")
}
extend type Change { set("which" id: ID!): Boolean! } # } comment
input Filter { open: Boolean }
'''
    parsed = parse("graphql", text).operations
    assert [(o.kind, o.path, o.input, o.output, o.summary, o.deprecated) for o in parsed] == [
        ("query", "item", "id: ID!, filter: Filter = { open: true }", "Item", "One item.", False),
        ("query", "items", None, "[Item!]!", "All of them.", True),
        ("mutation", "set", "id: ID!", "Boolean!", None, False),
    ]


def test_proto_gives_the_rpcs_of_its_services() -> None:
    text = """
syntax = "proto3"; // not a comment of an rpc
package a.b;
message M { string s = 1; message Inner { } oneof x { int32 y = 2; } }
service S {
  option (o) = { a: 1 };
  // Reads
  // one.
  rpc Get(GetRequest) returns (stream .a.b.M);
  /* Old. */ rpc Put (stream M) returns (M) { option deprecated = true; }
}
"""
    parsed = parse("grpc", text)
    assert parsed.title == "a.b"
    assert [(o.path, o.input, o.output, o.summary, o.deprecated) for o in parsed.operations] == [
        ("a.b.S/Get", "GetRequest", "stream .a.b.M", "Reads one.", False),
        ("a.b.S/Put", "stream M", "M", "Old.", True),
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("openapi", "["), ("openapi", "just text"), ("openapi", "a: 1"), ("openapi", "[1]"), ("wsdl", "<xml/>"),
        ("graphql", "type Query { a"), ("graphql", "type Query { a }"), ("graphql", '"""open'), ("graphql", "type"),
        ("graphql", "schema { query Root }"), ("graphql", "type Query { a: [B"), ("graphql", "\\"),
        ("grpc", "service S {"), ("grpc", "service S;"), ("grpc", "service S { rpc A"), ("grpc", "/* open"), ("grpc", "§"),
        ("grpc", "service S { rpc A (B) ; }"), ("grpc", "message M {"), ("grpc", "service S { rpc A B }"),
    ],
)  # fmt: skip
def test_a_definition_that_is_broken_says_so(kind: str, text: str) -> None:
    with pytest.raises(BadDefinition):
        parse(kind, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("graphql", '"""\\' * 200_000), ("graphql", '"' * 500_001), ("graphql", "{" * 500_000), ("grpc", "/*" * 300_000),
        ("grpc", "{" * 500_000), ("grpc", '"' * 300_001), ("openapi", "{a: " * 100_000),
    ],
)  # fmt: skip
def test_large_hostile_definitions_end_in_a_refusal(kind: str, text: str) -> None:
    with pytest.raises(BadDefinition):
        parse(kind, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "#/paths", "#/components/a", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["paths", "get", "post", "parameters", "responses", "200", "content", "schema", "$ref", "channels", "message",
             "operations", "channel", "messages", "subscribe", "publish", "oneOf", "payload", "items", "type", "name",
             "requestBody", "info", "basePath", "action", "address", "components", "webhooks"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.sampled_from(["openapi", "swagger", "asyncapi"]), st.sampled_from(["2.0", "3.0.0", 3, None]), JSON)
def test_documents_of_any_shape_give_operations_or_none(name: str, version: Any, value: Any) -> None:
    body = {**(value if isinstance(value, dict) else {"paths": value, "channels": value}), name: version}
    assert isinstance(parse(name, json.dumps(body)).operations, list)


WORDS = st.lists(
    st.sampled_from(
        ["type", "Query", "{", "}", "(", ")", ":", "a", "!", "[", "]", "@d", '"s"', '"""b"""', "schema", "query", "service", "rpc",
         "returns", "stream", ";", "//c\n", "/*c*/", "package", "extend", "#c\n", "=", "1", ",", "S"]
    ),
    max_size=30,
)  # fmt: skip


@given(st.sampled_from(["graphql", "grpc"]), WORDS)
def test_token_soup_gives_operations_or_a_refusal(kind: str, tokens: list[str]) -> None:
    try:
        assert isinstance(parse(kind, " ".join(tokens)).operations, list)
    except BadDefinition:
        return
