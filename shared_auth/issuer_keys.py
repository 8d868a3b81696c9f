"""The portal's public keys, as a server in another process knows them: fetched, judged, kept, seldom asked for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping

import httpx

from shared_auth import jose

MAX_BYTES = 65_536
MAX_KEYS = 32
TIMEOUT_S = 5.0
COOL_DOWN_S = 5.0
RETRY_S = 1.0
MAX_AGE_S = 300.0
MAX_STALE_S = 3_600.0
"""How long an issuer may be out of reach before its keys are believed no more."""

log = logging.getLogger("shared_auth")


class KeysUnavailable(Exception):
    """The keys are not known and cannot be fetched now."""


class IssuerKeys:
    """Public keys by ``kid``. Made-up key ids cost one request in ``COOL_DOWN_S`` (after a failure, in ``RETRY_S``)."""

    def __init__(self, url: str, http: httpx.AsyncClient, *, clock: Callable[[], float]) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: Mapping[str, jose.Key] = {}
        self._fetched_at = float("-inf")
        self._not_before = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, kid: object) -> Mapping[str, jose.Key]:
        """Return the keys, fetched again first when ``kid`` is not among them or they are old.

        Raises KeysUnavailable when there are none that were fetched within ``MAX_STALE_S``.
        """
        known = isinstance(kid, str) and kid in self._keys
        if not known or self._clock() - self._fetched_at >= MAX_AGE_S:
            async with self._lock:
                await self._renew()
        if self._clock() - self._fetched_at >= MAX_STALE_S:
            raise KeysUnavailable("the issuer's keys cannot be fetched")
        return self._keys

    async def _renew(self) -> None:
        if self._clock() >= self._not_before:
            self._not_before = self._clock() + (COOL_DOWN_S if await self._fetch() else RETRY_S)

    async def _fetch(self) -> bool:
        try:
            self._keys = _read(await self._body())
            self._fetched_at = self._clock()
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            # Known keys stay: an outage of the issuer must not shut out those whom it let in a moment ago.
            log.warning("issuer_keys.not_fetched", extra={"error": type(error).__name__})
            return False
        return True

    async def _body(self) -> bytes:
        found = bytearray()
        async with asyncio.timeout(TIMEOUT_S), self._http.stream("GET", self._url) as response:
            if response.status_code != 200:
                raise ValueError("not 200")
            async for part in response.aiter_bytes():
                found += part
                if len(found) > MAX_BYTES:
                    raise ValueError("too large")
        return bytes(found)


def _read(raw: bytes) -> Mapping[str, jose.Key]:
    document = json.loads(raw)
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError("not a key set")
    found: dict[str, jose.Key] = {}
    for key in keys:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            continue
        try:
            jose.check_key(key)
        except jose.BadToken:
            continue  # a key of a kind that we do not use, beside those that we do
        found[key["kid"]] = key
    if not found:
        raise ValueError("no usable key")
    return found
