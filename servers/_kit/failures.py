"""Every way a tool can fail, as the caller sees it.

    ToolFailure
    ├── InvalidInput       the arguments cannot be right; say which and what would be
    ├── NotFound           no such thing, or not for this person: the two are never told apart
    ├── Forbidden          the vendor knows the person and says no
    ├── ConnectNeeded      the person must connect their account at the vendor first; the portal says where
    ├── ScopeNeeded        the account is connected with fewer permissions than this call takes; nothing was changed
    ├── RateLimited        try again after ``retry_after_s``
    ├── VendorUnavailable  no answer, or a 5xx: the same call may succeed later
    └── VendorRejected     the vendor refused for a reason of its own

Tools raise them; only server.py catches them. A message is written by us: vendor text in it goes through quote().
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Kind = Literal["not_found", "forbidden", "connect", "scope", "invalid", "rate_limited", "unavailable", "upstream"]

MAX_QUOTE_CHARS = 300


class ToolFailure(Exception):
    """A tool call failed in a way its caller can act on."""

    kind: ClassVar[Kind] = "upstream"

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    def to_json(self) -> dict[str, Any]:
        """Return ``{kind, message, status?, retry_after?}``, seconds for ``retry_after``."""
        found: dict[str, Any] = {"kind": self.kind, "message": self.message}
        if self.status is not None:
            found["status"] = self.status
        if self.retry_after_s is not None:
            found["retry_after"] = self.retry_after_s
        return found


class InvalidInput(ToolFailure):
    kind = "invalid"


class NotFound(ToolFailure):
    kind = "not_found"


class Forbidden(ToolFailure):
    kind = "forbidden"


class ConnectNeeded(ToolFailure):
    kind = "connect"


class ScopeNeeded(ToolFailure):
    """``scopes`` are the vendor's names of what is missing; empty where it does not say."""

    kind = "scope"

    def __init__(self, message: str, scopes: tuple[str, ...] = (), *, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.scopes = scopes

    def to_json(self) -> dict[str, Any]:
        """Return ``{kind, message, scopes, status?}``."""
        return super().to_json() | {"scopes": list(self.scopes)}


class RateLimited(ToolFailure):
    kind = "rate_limited"


class VendorUnavailable(ToolFailure):
    kind = "unavailable"


class VendorRejected(ToolFailure):
    kind = "upstream"


def quote(text: object) -> str:
    """Return vendor text as a short, one-line quotation: data for the reader, never an instruction of ours."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > MAX_QUOTE_CHARS:
        line = line[: MAX_QUOTE_CHARS - 1] + "…"
    return '"' + line.replace('"', "'") + '"'
