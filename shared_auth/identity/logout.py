"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): the provider says that somebody has signed out there.

Register ``<issuer>/sign-in/logout`` as ``backchannel_logout_uri`` at the provider. With ``sid`` what that one session
gave ends, with ``sub`` alone everything of the person: browser sessions, grants, tokens and running programs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shared_auth import jose
from shared_auth.authorization.answers import NO_STORE
from shared_auth.authorization.grants import Grants
from shared_auth.authorization.parameters import read_form
from shared_auth.identity import id_token
from shared_auth.identity.jwks import ProviderKeys
from shared_auth.identity.provider import Discovery
from shared_auth.identity.settings import OidcSettings
from shared_auth.reasons import Denied, Reason

log = logging.getLogger("shared_auth")

LOGOUT = "/sign-in/logout"
BY = "provider"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
EXPLICIT_TYPE = "logout+jwt"
PLAIN_TYPE = "JWT"
MAX_AGE_S = 300
SKEW_S = 60
MAX_ID_CHARS = 200


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whom a believed logout token is about: a subject of ours, a session of the provider's, or both.

    ``before`` is the last moment of what ends. A token that comes twice, or late, thus ends nothing that somebody
    who has signed in anew has begun, and one whose work failed may simply come again.
    """

    subject: str | None
    sid: str | None
    before: int


class BackChannelLogout:
    """``POST /sign-in/logout``."""

    def __init__(
        self,
        settings: OidcSettings,
        discovery: Discovery,
        keys: ProviderKeys,
        grants: Grants,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._discovery = discovery
        self._keys = keys
        self._grants = grants
        self._clock = clock

    async def endpoint(self, request: Request) -> Response:
        """End what the token names and answer 200 once that is stored. Raises Denied (LOGOUT_TOKEN_INVALID)."""
        token = (await read_form(request)).get("logout_token", "")
        who = judge(await self._verified(token), self._settings, now=self._clock())
        await self._grants.revoke(subject=who.subject, sid=who.sid, before=who.before, by=BY)
        return Response(status_code=200, headers=NO_STORE)

    async def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            # Providers older than the final text send "JWT" or nothing; the event tells the token from any other.
            typ = EXPLICIT_TYPE if str(jose.claimed_type(token)).lower() == EXPLICIT_TYPE else PLAIN_TYPE
            keys = await self._keys.having(jose.key_id(token), (await self._discovery.provider()).jwks_uri)
            return jose.verify(token, keys, typ=typ, untyped=True)
        except jose.BadToken as error:
            log.warning("logout.refused", extra={"why": str(error)})
            raise Denied(Reason.LOGOUT_TOKEN_INVALID) from None


def judge(claims: Mapping[str, Any], settings: OidcSettings, *, now: float) -> SignedOut:
    """Return whom ``claims`` of a logout token with a good signature name (section 2.6). Pure. Raises Denied."""
    audience, events, jti = claims.get("aud"), claims.get("events"), claims.get("jti")
    audiences = audience if isinstance(audience, list) else [audience]
    subject, sid = claims.get("sub"), id_token.session(claims)
    is_logout = isinstance(events, dict) and isinstance(events.get(EVENT), dict) and "nonce" not in claims
    addressed = claims.get("iss") == settings.issuer and settings.client_id in audiences
    named = isinstance(jti, str) and 0 < len(jti) <= MAX_ID_CHARS and _name(subject) and _name(claims.get("sid"))
    # Without either name the token would be about everybody.
    if not (is_logout and addressed and named and (subject or sid) and _timely(claims, now)):
        raise Denied(Reason.LOGOUT_TOKEN_INVALID)
    ours = f"{subject}@{settings.name}" if subject else None
    return SignedOut(ours, sid or None, int(claims["iat"]) + SKEW_S)


def _name(stated: object) -> bool:
    return stated is None or (
        isinstance(stated, str) and stated.isprintable() and 0 < len(stated) <= id_token.MAX_SUBJECT_CHARS
    )


def _timely(claims: Mapping[str, Any], now: float) -> bool:
    issued_at, expires_at = claims.get("iat"), claims.get("exp", int(now))
    if type(issued_at) is not int or type(expires_at) is not int:
        return False
    return now - MAX_AGE_S <= issued_at <= now + SKEW_S and expires_at > now - SKEW_S
