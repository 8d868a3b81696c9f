"""The provider's public keys: kept a while, fetched by one at a time, and at most once more for an unknown key id."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from shared_auth import jose
from shared_auth.identity.provider import Unbelievable, json_object
from shared_auth.jose import Key
from shared_auth.outbound import Outbound, Unreachable
from shared_auth.reasons import Denied, Reason

log = logging.getLogger("shared_auth")

FRESH_S = 600
"""How long a key may be believed after the provider withdrew it."""
COOL_DOWN_S = 30
"""Shortest time between two fetches: made-up key ids must not become requests to the provider."""
MAX_BYTES = 262_144
MAX_KEYS = 64


class ProviderKeys:
    """The keys of one provider in this process."""

    def __init__(self, outbound: Outbound, *, clock: Callable[[], float]) -> None:
        self._outbound = outbound
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: Mapping[str, Key] = {}
        self._url = ""
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")

    async def having(self, kid: object, url: str) -> Mapping[str, Key]:
        """Return the keys at ``url``, fetched again when they are old or ``kid`` is not among them.

        Whether ``kid`` then is among them is the caller's question. Raises Denied (PROVIDER_DOWN) when there are no
        keys fresh enough to be believed.
        """
        async with self._lock:
            if url != self._url:
                self._keys, self._url, self._fetched_at, self._asked_at = {}, url, float("-inf"), float("-inf")
            wanted = not self._fresh() or kid not in self._keys
            if wanted and not 0 <= self._clock() - self._asked_at < COOL_DOWN_S:
                await self._fetch()
            if not self._fresh():
                raise Denied(Reason.PROVIDER_DOWN)
            return self._keys

    def _fresh(self) -> bool:
        return 0 <= self._clock() - self._fetched_at < FRESH_S

    async def _fetch(self) -> None:
        self._asked_at = self._clock()
        try:
            answer = await self._outbound.send("GET", self._url, max_bytes=MAX_BYTES)
            if answer.status != 200:
                raise Unbelievable("no document")
            self._keys = judge(answer.body)
        except (Unreachable, Unbelievable) as error:
            log.warning("provider.keys_failed", extra={"why": str(error)})
        else:
            self._fetched_at = self._clock()


def judge(raw: bytes) -> Mapping[str, Key]:
    """Return the keys of the document ``raw`` that can verify an ID token, by id. Raises Unbelievable. Pure.

    Keys for encryption, of other kinds, too small, or without an id are left out; an id that stands for two keys
    refuses the document, because which of them is meant cannot be known.
    """
    listed = json_object(raw).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise Unbelievable("no list of keys")
    found: dict[str, Key] = {}
    for key in listed:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or not _usable(key):
            continue
        if key["kid"] in found:
            raise Unbelievable("a key id occurs twice")
        found[key["kid"]] = key
    return found


def _usable(key: Key) -> bool:
    try:
        jose.check_key(key)
    except jose.BadToken:
        return False
    return True
