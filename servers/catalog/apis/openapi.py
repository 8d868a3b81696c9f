"""OpenAPI 3 and Swagger 2: one operation per path and method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.catalog.apis.models import Operation
from servers.catalog.apis.parsed import MAX_OPERATIONS, Parsed, items, mapping, schema_name, words

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


def openapi(value: Mapping[str, Any]) -> Parsed:
    """Return the operations of an OpenAPI document, webhooks among them."""
    info = mapping(value, "info")
    base = value.get("basePath")
    prefix = base.rstrip("/") if isinstance(base, str) else ""
    found = []
    for name, path_item in [*mapping(value, "paths").items(), *mapping(value, "webhooks").items()]:
        shared = items(mapping(path_item).get("parameters"))
        for method in METHODS:
            operation = mapping(path_item, method)
            if operation:
                found.append(_operation(value, method, prefix + name, operation, shared))
    return Parsed(words(info.get("title")), words(info.get("version")), found[:MAX_OPERATIONS])


def _operation(
    root: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], shared: list[Any]
) -> Operation:
    return Operation(
        kind="http",
        name=words(operation.get("operationId")),
        method=method.upper(),
        path=path,
        summary=words(operation.get("summary")) or words(operation.get("description")),
        input=_input(root, operation, shared),
        output=_output(root, operation),
        deprecated=operation.get("deprecated") is True,
    )


def _input(root: Mapping[str, Any], operation: Mapping[str, Any], shared: list[Any]) -> str | None:
    found = []
    for given in [*shared, *items(operation.get("parameters"))]:
        parameter = _resolved(root, given)
        name, place = parameter.get("name"), parameter.get("in")
        if place == "body":
            found.append(f"body {schema_name(parameter.get('schema')) or 'anything'}")
        elif isinstance(name, str):
            found.append(name if parameter.get("required") is True else f"{name}?")
    content = mapping(_resolved(root, operation.get("requestBody")), "content")
    for media in content.values():
        found.append(f"body {schema_name(mapping(media).get('schema')) or 'anything'}")
        break
    return words(", ".join(dict.fromkeys(found)))


def _output(root: Mapping[str, Any], operation: Mapping[str, Any]) -> str | None:
    for status, given in mapping(operation, "responses").items():
        if str(status).startswith("2") or status == "default":
            response = _resolved(root, given)
            bodies = [mapping(media).get("schema") for media in mapping(response, "content").values()]
            name = schema_name(bodies[0] if bodies else response.get("schema"))
            return words(f"{status} {name}" if name else str(status))
    return None


def _resolved(root: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """Follow one local reference. A second one is not followed: that is where circles would be."""
    reference = mapping(value).get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        return mapping(root, *(part.replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/")))
    return mapping(value)
