"""Token exchange for servers (RFC 8693 in substance): the portal acts for somebody at one server, for one minute.

A server token names the person or client as its subject and the portal as the acting party (``act``, section 4.1), and
is for exactly one server. The agent's own token never leaves the portal, and neither token is worth anything at the
other's door: the audiences differ, and each door refuses what the other demands.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from shared_auth import jose
from shared_auth.claims import Verified, judge
from shared_auth.keys import Keys
from shared_auth.principal import CLIENT_SUBJECT, Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE
from shared_auth.tokens import TYPE, Minted

SERVER_TOKEN_S = 60
PORTAL_CLIENT = "portal"
NO_GRANT = "none"
"""Grant of the portal itself and of the command line, which need none."""


class Exchange:
    """Makes server tokens."""

    def __init__(self, keys: Keys, *, issuer: str, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    def mint(self, principal: Principal | None, *, audience: str) -> Minted:
        """Return a token with which the portal acts for ``principal`` at the server ``audience``.

        Whether the principal's grant lives is the caller's question. None is the portal for itself, as when it lists
        a server's tools.
        """
        who = principal or self._portal()
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "sub": who.subject,
            "aud": audience,
            "exp": now + SERVER_TOKEN_S,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "client_id": who.client_id,
            "scope": SCOPE,
            "gid": who.grant_id or NO_GRANT,
            "groups": sorted(who.groups),
            "act": actor(self._issuer),
        }
        claims |= {name: text for name in ("name", "email") if (text := getattr(who, name))}
        return Minted(jose.sign(claims, self._keys.signing, typ=TYPE), SERVER_TOKEN_S)

    def _portal(self) -> Principal:
        return Principal(issuer=self._issuer, subject=f"{CLIENT_SUBJECT}{PORTAL_CLIENT}", client_id=PORTAL_CLIENT)


def actor(issuer: str) -> dict[str, str]:
    """Return the ``act`` claim of every server token: the portal, by its issuer."""
    return {"sub": issuer}


def judge_server_token(claims: Mapping[str, Any], *, issuer: str, audience: str, now: float) -> Verified:
    """Return what the ``claims`` of a server token with a good signature state. Raises Denied.

    Without the right ``act`` it is not a server token; an agent's would fail here even with the right audience.
    """
    if claims.get("act") != actor(issuer):
        raise Denied(Reason.TOKEN_INVALID)
    rest = {name: value for name, value in claims.items() if name != "act"}
    verified = judge(rest, issuer=issuer, audience=audience, now=now)
    if claims["exp"] - claims["iat"] > SERVER_TOKEN_S:
        raise Denied(Reason.TOKEN_INVALID)
    return verified
