"""The one way out: every request that the auth flow makes is bounded in time and size, and follows no redirect.

Answers are not decompressed, so that a small answer cannot become a large one here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import certifi
import httpx

TIMEOUT_S = 10.0


class Unreachable(Exception):
    """No complete answer within the bounds. Names no address: its text may reach a log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. The body may hold tokens and is not in the repr."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_json(self) -> bool:
        """Whether the answer says that it is JSON: ``application/json`` or ``application/…+json``."""
        kind: str = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class Outbound:
    """Sends one request at a time over a connection of its own. ``transport`` replaces the network."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._transport = transport
        self._timeout_s = timeout_s

    async def send(
        self,
        method: str,
        url: str,
        *,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        content: Mapping[str, str] | None = None,
        server_name: str | None = None,
    ) -> Answer:
        """Return the answer. Raises Unreachable. ``form`` is sent as a form, ``content`` as JSON.

        ``server_name`` is the host that the certificate must be for, where ``url`` names an address instead.
        """
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mcp-portal"}
        extensions = {} if server_name is None else {"sni_hostname": server_name}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client() as client,
                client.stream(
                    method, url, headers=sent | dict(headers or {}), data=form, json=content, extensions=extensions
                ) as answer,
            ):
                if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
                    raise Unreachable("a compressed answer, unasked")
                return Answer(answer.status_code, answer.headers, await _body(answer, max_bytes))
        except TimeoutError:
            raise Unreachable(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise Unreachable(type(error).__name__) from None

    def _client(self) -> httpx.AsyncClient:
        # trust_env: a proxy or a .netrc from the environment must not see what is sent here.
        transport = self._transport or httpx.AsyncHTTPTransport(verify=_trust(), trust_env=False)
        return httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(self._timeout_s)
        )


async def _body(answer: httpx.Response, max_bytes: int) -> bytes:
    found = bytearray()
    async for part in answer.aiter_raw():
        found += part
        if len(found) > max_bytes:
            raise Unreachable("the answer is too large")
    return bytes(found)


@cache
def _trust() -> ssl.SSLContext:
    """Return what certificates are checked against: the system's authorities (SSL_CERT_FILE adds one) and certifi's."""
    found = ssl.create_default_context()
    found.load_verify_locations(certifi.where())
    return found
