"""A request to a host by name, sent to an address that was judged first: no name can lead somewhere else in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from shared_auth.addresses import Network, permitted
from shared_auth.outbound import Answer, Outbound, Unreachable

Lookup = Callable[[str], Awaitable[list[str]]]

RESOLVE_S = 5.0
MAX_TRIES = 3
"""Addresses of one host that are tried: IPv6 may be announced where it does not work."""


def _anybody(_address: str) -> None:
    """Admit every address."""


async def send(
    outbound: Outbound,
    method: str,
    url: str,
    *,
    resolve: Lookup,
    allowed: Iterable[Network],
    admit: Callable[[str], None] = _anybody,
    **request: Any,
) -> Answer:
    """Return the answer of the first address of the host that gives one. Raises Unreachable, and what ``admit`` raises.

    Every address of the host must be public or in ``allowed``; ``admit`` is asked before each connection.
    ``request`` is what ``Outbound.send`` takes.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await resolve(host)
    except (OSError, UnicodeError, TimeoutError):
        raise Unreachable("the name does not resolve") from None
    failed = Unreachable("the name resolves to what may not be connected to")
    headers = {**(request.pop("headers", None) or {}), "Host": parts.netloc}
    for address in permitted(found, allowed)[:MAX_TRIES]:
        admit(address)
        target = f"[{address}]" if ":" in address else address
        pinned = parts._replace(netloc=target if parts.port is None else f"{target}:{parts.port}").geturl()
        try:
            return await outbound.send(method, pinned, headers=headers, server_name=host, **request)
        except Unreachable as error:
            failed = error
    raise failed
