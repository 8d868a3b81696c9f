"""API definitions as lists of operations, so that nobody has to read a whole OpenAPI file to call one endpoint."""

from __future__ import annotations

from servers.catalog.apis.asyncapi import asyncapi
from servers.catalog.apis.graphql import graphql
from servers.catalog.apis.openapi import openapi
from servers.catalog.apis.parsed import BadDefinition, Parsed, document
from servers.catalog.apis.proto import proto

__all__ = ["BadDefinition", "Parsed", "parse"]


def parse(kind: str, text: str) -> Parsed:
    """Return what a definition of a type (openapi, asyncapi, graphql, grpc) offers. Raises BadDefinition.

    The time is linear in the text. A type that nobody knows is judged by the text itself.
    """
    kind = kind.lower()
    if kind == "graphql":
        return graphql(text)
    if kind in {"grpc", "proto", "protobuf"}:
        return proto(text)
    value = document(text)
    if "asyncapi" in value:
        return asyncapi(value)
    if "openapi" in value or "swagger" in value:
        return openapi(value)
    raise BadDefinition(
        f"no operations can be read from a definition of this type; read it with format raw ({kind[:40]})"
    )
