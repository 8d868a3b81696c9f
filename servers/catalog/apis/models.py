"""What the tools about API definitions answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from servers._kit import Output


class Operation(Output):
    """One thing that an API can do."""

    kind: Literal["http", "publish", "subscribe", "query", "mutation", "subscription", "rpc"]
    name: str | None
    method: str | None
    path: str = Field(description="HTTP path, channel, field, or service/method.")
    summary: str | None
    input: str | None
    output: str | None
    deprecated: bool


class ApiDefinition(Output):
    """An API's definition, as a list of operations or as a window of its text."""

    ref: str
    type: str | None
    title: str | None
    version: str | None
    operations: list[Operation]
    total_operations: int = Field(description="Operations that match, also those not in this answer.")
    raw: str | None
    raw_start: int
    raw_chars: int = Field(description="Length of the whole text.")
    truncated: bool
    problem: str | None = Field(description="Why the definition could not be read as operations.")
