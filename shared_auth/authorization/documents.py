"""Client ID metadata documents: a client whose id is an https address says there who it is.

The address is the client's choice, so fetching it is the attacker's request from our network: only https, only to
addresses that were judged and are then connected to as they are, one small document, no redirect, few at a time. A
document is kept as long as its headers say, within bounds, in this process alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared_auth import pinned
from shared_auth.addresses import lookup
from shared_auth.authorization.client import Client
from shared_auth.authorization.document import NotAClient, judge
from shared_auth.authorization.document_settings import DocumentSettings
from shared_auth.authorization.pace import Pace
from shared_auth.configuration import ConfigurationError
from shared_auth.outbound import Answer, Outbound, Unreachable
from shared_auth.pinned import Lookup
from shared_auth.reasons import Denied, Reason

log = logging.getLogger("shared_auth")

MAX_BYTES = 16_384
MAX_URL_CHARS = 500
MAX_DOCUMENTS = 512
LEAST_FRESH_S, USUAL_FRESH_S, MOST_FRESH_S = 60, 600, 86_400
"""Bounds on what a document's headers may ask: between no protection of its host and no way to change it."""
STALE_S = 86_400
"""How long an expired document still counts while its host cannot be reached at all."""
AT_ONCE = 8
BURST, PER_SECOND = 20, 0.2
"""Fetches per address: nobody can have us flood one, however many names lead to it."""

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_MAX_AGE = re.compile(r"(?:^|[\s,])(?:s-maxage|max-age)=\"?(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Kept:
    client: Client
    expires_at: float


class Documents:
    """The clients that are known by an address. Raises ConfigurationError for a seeded document that is none."""

    def __init__(
        self,
        settings: DocumentSettings,
        outbound: Outbound,
        *,
        clock: Callable[[], float],
        resolve: Lookup = lookup,
    ) -> None:
        self._settings = settings
        self._outbound = outbound
        self._clock = clock
        self._resolve = resolve
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks = [asyncio.Lock() for _ in range(64)]
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._pace = Pace(burst=BURST, per_second=PER_SECOND, clock=clock)
        self._seeded = {url: _seed(url, document) for url, document in settings.seeded.items()}

    async def find(self, url: str) -> Client:
        """Return the client whose id is ``url``. Raises Denied (CLIENT_UNKNOWN or DOCUMENT_…)."""
        if url in self._seeded:
            return self._seeded[url]
        host = publisher(url)
        if host is None or not self._settings.fetch:
            raise Denied(Reason.CLIENT_UNKNOWN)
        if not self._settings.trusts(host):
            raise Denied(Reason.DOCUMENT_UNTRUSTED)
        async with self._locks[hash(url) % len(self._locks)]:
            kept = self._kept.get(url)
            if kept is not None and self._clock() < kept.expires_at:
                self._kept.move_to_end(url)
                return kept.client
            return await self._renew(url, kept)

    async def _renew(self, url: str, kept: _Kept | None) -> Client:
        try:
            async with self._at_once:
                answer = await self._fetch(url)
        except Unreachable as error:
            log.info("document.unreachable", extra={"why": str(error)})
            if kept is not None and self._clock() < kept.expires_at + STALE_S:
                return kept.client
            raise Denied(Reason.DOCUMENT_UNREACHABLE) from None
        try:
            client = _client(url, answer)
        except NotAClient as error:
            self._kept.pop(url, None)  # withdrawn, or changed into something else: no longer a client
            log.info("document.refused", extra={"why": str(error)})
            raise Denied(Reason.DOCUMENT_INVALID) from None
        self._kept[url] = _Kept(client, self._clock() + fresh_s(answer.headers))
        self._kept.move_to_end(url)
        while len(self._kept) > MAX_DOCUMENTS:
            self._kept.popitem(last=False)
        return client

    async def _fetch(self, url: str) -> Answer:
        """Return the answer of the host of ``url``. Raises Unreachable or Denied."""

        def admit(address: str) -> None:
            if not self._pace.take(address):
                raise Denied(Reason.DOCUMENT_TOO_FAST)

        networks = self._settings.networks
        return await pinned.send(
            self._outbound, "GET", url, resolve=self._resolve, allowed=networks, admit=admit, max_bytes=MAX_BYTES
        )


def publisher(url: str) -> str | None:
    """Return the host that ``url`` names, if a client id may look like that; None for everything else. Pure.

    An https address in lower case with a path, and no user, query, fragment, dot segments or bare IP address.
    """
    if len(url) > MAX_URL_CHARS or not url.startswith("https://"):
        return None
    netloc, slash, path = url.removeprefix("https://").partition("/")
    host, colon, port = netloc.partition(":")
    if not slash or not path or not _PATH.fullmatch(f"/{path}") or not _HOST.fullmatch(host):
        return None
    if colon and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        return None
    return None if host.rpartition(".")[2].isdigit() else host


def fresh_s(headers: Mapping[str, str]) -> int:
    """Return how long a document may be kept, in seconds: what Cache-Control says, within our bounds. Pure."""
    control = headers.get("cache-control", "")
    if "no-store" in control.lower() or "no-cache" in control.lower():
        return LEAST_FRESH_S
    stated = _MAX_AGE.search(control)
    age = headers.get("age", "")
    if stated is None:
        return USUAL_FRESH_S
    left = int(stated.group(1)) - (int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0)
    return min(MOST_FRESH_S, max(LEAST_FRESH_S, left))


def _client(url: str, answer: Answer) -> Client:
    if answer.status != 200 or not answer.is_json:
        raise NotAClient("no JSON document")
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NotAClient("not JSON") from None
    return judge(url, value)


def _seed(url: str, document: Mapping[str, Any]) -> Client:
    if publisher(url) is None:
        raise ConfigurationError("documents.seeded: each name must be an https address with a path")
    try:
        return judge(url, {"client_id": url, **document})
    except NotAClient as error:
        raise ConfigurationError(f"documents.seeded: {url} is not a client: {error}") from None
