"""Every request to a server with ``auth = "exchange"`` carries a fresh server token of whoever asks.

One connection serves everybody, so who asks travels with the call: the SDK's transport sends each message in the
context of its sender. What nobody asked for, such as listing tools, the portal does as itself, which may do least.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2

from shared_auth.principal import Principal

ServerTokens = Callable[[Principal | None, str], str]
"""``server_tokens(principal, audience)`` -> a token; None is the portal itself."""

_asking: ContextVar[Principal | None] = ContextVar("asking", default=None)


@contextmanager
def asking(principal: Principal) -> Iterator[None]:
    """Let requests that are sent inside be ``principal``'s."""
    token = _asking.set(principal)
    try:
        yield
    finally:
        _asking.reset(token)


class Exchanged(httpx2.Auth):
    """Puts a server token for ``audience`` on each request, made when it is sent."""

    def __init__(self, server_tokens: ServerTokens, audience: str) -> None:
        self._server_tokens = server_tokens
        self._audience = audience

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send the request once, with its token."""
        request.headers["Authorization"] = f"Bearer {self._server_tokens(_asking.get(), self._audience)}"
        yield request
