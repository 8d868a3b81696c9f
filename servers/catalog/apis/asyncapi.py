"""AsyncAPI 2 and 3: one operation per channel and direction, from the application's point of view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from servers.catalog.apis.models import Operation
from servers.catalog.apis.parsed import MAX_OPERATIONS, Parsed, items, mapping, schema_name, words


def asyncapi(value: Mapping[str, Any]) -> Parsed:
    """Return what the application publishes and what it subscribes to."""
    info = mapping(value, "info")
    found = _third(value) if str(value.get("asyncapi", "")).startswith("3") else _second(value)
    return Parsed(words(info.get("title")), words(info.get("version")), found[:MAX_OPERATIONS])


def _second(value: Mapping[str, Any]) -> list[Operation]:
    found = []
    for channel, item in mapping(value, "channels").items():
        # In version 2 the words are the client's: a channel that clients subscribe to is one that we publish.
        for theirs in ("subscribe", "publish"):
            operation = mapping(item, theirs)
            if operation:
                ours: Literal["publish", "subscribe"] = "publish" if theirs == "subscribe" else "subscribe"
                message = operation.get("message")
                options = items(mapping(message).get("oneOf")) or [message]
                found.append(_operation(ours, channel, words(operation.get("operationId")), operation, options, item))
    return found


def _third(value: Mapping[str, Any]) -> list[Operation]:
    found = []
    for name, operation in mapping(value, "operations").items():
        key = str(mapping(operation, "channel").get("$ref", "")).rpartition("/")[2].replace("~1", "/")
        channel = mapping(value, "channels", key)
        address = channel.get("address")
        messages = items(mapping(operation).get("messages")) or list(mapping(channel, "messages").values())
        ours: Literal["publish", "subscribe"] = "publish" if mapping(operation).get("action") == "send" else "subscribe"
        path = address if isinstance(address, str) else key
        found.append(_operation(ours, path, words(name), mapping(operation), messages, channel))
    return found


def _operation(
    kind: Literal["publish", "subscribe"],
    channel: str,
    name: str | None,
    operation: Mapping[str, Any],
    messages: list[Any],
    item: Any,
) -> Operation:
    payload = words(" or ".join(filter(None, map(_message, messages))))
    said = words(operation.get("summary")) or words(operation.get("description"))
    return Operation(
        kind=kind,
        name=name,
        method=None,
        path=channel,
        summary=said or words(mapping(item).get("description")),
        input=payload if kind == "subscribe" else None,
        output=payload if kind == "publish" else None,
        deprecated=operation.get("deprecated") is True,
    )


def _message(message: Any) -> str | None:
    name = mapping(message).get("name")
    return name if isinstance(name, str) else schema_name(message) or schema_name(mapping(message).get("payload"))
