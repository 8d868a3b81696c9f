"""Every claim of an access token accounted for: required, checked, or ignored on purpose. Pure; ``now`` is an argument.

A claim that this file does not list refuses the token. We are the only issuer, so an unknown claim is either a
forgery or a restriction (``cnf``, RFC 7800) that accepting the token as a plain bearer would remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import MAX_ACCESS_TOKEN_S

REQUIRED = frozenset({"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "gid"})
CHECKED_WHEN_PRESENT = frozenset({"nbf", "groups", "name", "email"})
IGNORED = frozenset({"auth_time"})
"""``auth_time`` says when the person signed in (RFC 9068 section 2.2.1); nothing here asks for a fresh sign-in."""

CLOCK_SKEW_S = 60
"""How far another replica's clock may run ahead. Never added to ``exp``."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a believed token says. ``expires_at`` in epoch seconds."""

    principal: Principal
    expires_at: int


def judge(claims: Mapping[str, Any], *, issuer: str, audience: str, now: float) -> Verified:
    """Return what ``claims`` of a token with a good signature state. Raises Denied (TOKEN_INVALID, TOKEN_EXPIRED)."""
    if not REQUIRED <= claims.keys() <= REQUIRED | CHECKED_WHEN_PRESENT | IGNORED:
        raise Denied(Reason.TOKEN_INVALID)
    # Exactly one audience, as a string: a token for us and somebody else is a token that somebody else can replay.
    if claims["iss"] != issuer or claims["aud"] != audience:
        raise Denied(Reason.TOKEN_INVALID)
    expires_at, issued_at, not_before = (_seconds(claims.get(name, 0)) for name in ("exp", "iat", "nbf"))
    if expires_at <= now:
        raise Denied(Reason.TOKEN_EXPIRED)
    if max(issued_at, not_before) > now + CLOCK_SKEW_S or not 0 < expires_at - issued_at <= MAX_ACCESS_TOKEN_S:
        raise Denied(Reason.TOKEN_INVALID)
    _text(claims["jti"])
    principal = Principal(
        issuer=issuer,
        subject=_text(claims["sub"]),
        client_id=_text(claims["client_id"]),
        grant_id=_text(claims["gid"]),
        scopes=_texts(_text(claims["scope"]).split(" ")),
        groups=_texts(claims.get("groups", [])),
        name=_text(claims["name"]) if "name" in claims else "",
        email=_text(claims["email"]) if "email" in claims else "",
    )
    return Verified(principal, expires_at)


def _seconds(value: object) -> int:
    if type(value) is not int:  # bool is an int; a float may be infinite
        raise Denied(Reason.TOKEN_INVALID)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Denied(Reason.TOKEN_INVALID)
    return value


def _texts(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise Denied(Reason.TOKEN_INVALID)
    return frozenset(_text(item) for item in value)
