"""The one failure of an upstream call, whatever the transport."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "not_found", "forbidden", "connect", "scope", "invalid", "rate_limited", "unavailable", "timeout", "upstream"
]
"""``connect``: the vendor was not asked, for the person has not connected their account there. ``scope``: it refused,
for the person has granted too little. The messages of both are ours, and nothing was changed.
"""


class UpstreamFailure(Exception):
    """A call to an upstream did not succeed. ``message`` may quote the upstream and is capped; it is data. ``sent`` is
    false when the call certainly did not leave the portal. ``scopes`` are the vendor's names of what is missing.
    """

    def __init__(
        self,
        upstream: str,
        kind: Kind,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        sent: bool = True,
        scopes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{upstream}: {kind}: {message}")
        self.upstream = upstream
        self.kind: Kind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.sent = sent
        self.scopes = scopes
