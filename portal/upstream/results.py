"""What a tool answered, as the one JSON value that a program receives."""

from __future__ import annotations

import json
import math
import re
from typing import Any, cast, get_args

import mcp_types as t
from pydantic_core import from_json

from portal.upstream.failures import Kind, UpstreamFailure

ERROR_META = "mcp-portal/error"
MAX_MESSAGE_CHARS = 600
LONG_CHARS = 65_536
MAX_SCOPES = 20
_SCOPE = re.compile(r"[!#-\[\]-~]{1,200}")


class Blocks(list[dict[str, Any]]):
    """The content blocks of an answer: text, images, sound, files. Told apart from a list that looks like one."""


def is_long(answer: t.CallToolResult) -> bool:
    """Say whether reading the answer holds the event loop too long: then call json_of in a thread."""
    return sum(len(block.text) for block in answer.content if isinstance(block, t.TextContent)) > LONG_CHARS


def json_of(upstream: str, answer: t.CallToolResult, *, trusted: bool) -> Any:
    """Return the value of an answer; the first rule that fits:

    1. an error is raised as UpstreamFailure;
    2. structured content is the value, an object with the only key ``result`` unwrapped;
    3. one text is parsed as JSON if it is, and is a string otherwise;
    4. anything else is the list of its content blocks, as Blocks.
    """
    if answer.is_error:
        raise _failure(upstream, answer, trusted=trusted)
    if answer.structured_content is not None:
        value = answer.structured_content
        return value["result"] if isinstance(value, dict) and value.keys() == {"result"} else value
    if len(answer.content) == 1 and isinstance(answer.content[0], t.TextContent):
        text = answer.content[0].text
        try:
            # Not json.loads: that one takes NaN for JSON, and never lets go of the interpreter while it reads.
            return from_json(text, allow_inf_nan=False)
        except ValueError:
            return text
    return Blocks(block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in answer.content)


def _failure(upstream: str, answer: t.CallToolResult, *, trusted: bool) -> UpstreamFailure:
    text = " ".join(block.text for block in answer.content if isinstance(block, t.TextContent))
    error = (answer.meta or {}).get(ERROR_META)
    if isinstance(error, dict) and error.get("kind") in get_args(Kind):
        return UpstreamFailure(
            upstream,
            cast("Kind", error["kind"]),
            _clean(error.get("message"), trusted=trusted),
            retryable=error["kind"] in {"rate_limited", "unavailable"},
            retry_after_s=_seconds(error.get("retry_after")),
            scopes=_scopes(error.get("scopes")),
        )
    return UpstreamFailure(upstream, "upstream", _clean(text, trusted=trusted))


def _scopes(value: object) -> tuple[str, ...]:
    """Return the few words of a list that could be scopes (RFC 6749 section 3.3)."""
    if not isinstance(value, list):
        return ()
    words = (word for word in value[:MAX_SCOPES] if isinstance(word, str))
    return tuple(word for word in words if _SCOPE.fullmatch(word))


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _clean(text: object, *, trusted: bool) -> str:
    """Return an upstream's words as one bounded line; those of a foreign server are quoted, being data only."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text or "it gave no reason")).split())
    if len(line) > MAX_MESSAGE_CHARS:
        line = line[: MAX_MESSAGE_CHARS - 1] + "…"
    return line if trusted else f"the server says {json.dumps(line, ensure_ascii=False)}"
