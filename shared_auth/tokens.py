"""The one place where access tokens (RFC 9068) are made and believed."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from shared_auth import jose
from shared_auth.claims import Verified, judge
from shared_auth.keys import Keys
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import MAX_ACCESS_TOKEN_S

TYPE = "at+jwt"
CACHE_ENTRIES = 4_096


@dataclass(frozen=True, slots=True)
class Minted:
    """A new access token and its life in seconds. The token is not in the repr."""

    token: str = field(repr=False)
    expires_in_s: int


class Tokens:
    """Mints and verifies access tokens of one issuer."""

    def __init__(self, keys: Keys, *, issuer: str, clock: Callable[[], float], remembered: int = CACHE_ENTRIES) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._max_entries = remembered
        self._verified: OrderedDict[tuple[bytes, str], Verified] = OrderedDict()

    def mint(self, principal: Principal, *, audience: str, ttl_s: int) -> Minted:
        """Return a token that says who ``principal`` is, to ``audience`` alone. Raises ValueError for a wrong life."""
        if not 1 <= ttl_s <= MAX_ACCESS_TOKEN_S:
            raise ValueError(f"ttl_s must be between 1 and {MAX_ACCESS_TOKEN_S}")
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "sub": principal.subject,
            "aud": audience,
            "exp": now + ttl_s,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "client_id": principal.client_id,
            "scope": " ".join(sorted(principal.scopes)),
            "gid": principal.grant_id,
            "groups": sorted(principal.groups),
        }
        claims |= {name: text for name in ("name", "email") if (text := getattr(principal, name))}
        return Minted(jose.sign(claims, self._keys.signing, typ=TYPE), ttl_s)

    async def verify(self, token: str, *, audience: str) -> Verified:
        """Return what ``token`` states, if it is ours, for ``audience`` and not expired. Raises Denied.

        A token that was believed once is remembered by its SHA-256 until it expires, so the signature is checked
        once per process and no token is held in memory. Whether its grant still lives is the caller's question.
        """
        name = (sha256(token.encode("utf-8", "surrogatepass")).digest(), audience)
        found = self._verified.get(name)
        if found is None:
            found = await self._judge(token, audience)
            self._verified[name] = found
            while len(self._verified) > self._max_entries:
                self._verified.popitem(last=False)
            return found
        if found.expires_at <= self._clock():
            del self._verified[name]
            raise Denied(Reason.TOKEN_EXPIRED)
        self._verified.move_to_end(name)
        return found

    async def _judge(self, token: str, audience: str) -> Verified:
        try:
            await self._keys.knows(jose.key_id(token))
            claims = jose.verify(token, self._keys.public, typ=TYPE)
        except jose.BadToken:
            raise Denied(Reason.TOKEN_INVALID) from None
        return judge(claims, issuer=self._issuer, audience=audience, now=self._clock())
