"""Every rule for the claims of an ID token (OpenID Connect Core section 3.1.3.7). Pure; ``now`` is an argument."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from shared_auth.identity.settings import OidcSettings
from shared_auth.people import Person
from shared_auth.readable import readable
from shared_auth.reasons import Denied, Reason

REQUIRED = frozenset({"iss", "sub", "aud", "exp", "iat", "nonce"})
SKEW_S = 60
"""How far the provider's clock may differ from ours, either way."""
MAX_AGE_S = 900
"""How old an ID token may be: it was made during a sign-in that takes ten minutes at most."""
MAX_SUBJECT_CHARS = 255
MAX_TEXT_CHARS = 200
MAX_GROUPS_CHARS = 6_000
"""All group names together. They travel in every access token, and one over ``jose.MAX_TOKEN_BYTES`` is refused."""


def judge(
    claims: Mapping[str, Any], settings: OidcSettings, *, nonce: str, access_token: str | None, now: float
) -> Person:
    """Return who signed in, as ``claims`` of an ID token with a good signature state.

    Raises Denied: ID_TOKEN_INVALID, NONCE_WRONG, ID_TOKEN_EXPIRED, PERSON_NOT_ADMITTED or GROUPS_TOO_MANY.
    """
    if not claims.keys() >= REQUIRED or claims["iss"] != settings.issuer:
        raise Denied(Reason.ID_TOKEN_INVALID)
    _audience(claims, settings)
    _times(claims, now)
    given = claims["nonce"]
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise Denied(Reason.NONCE_WRONG)
    if "at_hash" in claims and (access_token is None or claims["at_hash"] != half_hash(access_token)):
        raise Denied(Reason.ID_TOKEN_INVALID)
    require_admitted(claims, settings)
    return person(claims, settings)


def require_admitted(claims: Mapping[str, Any], settings: OidcSettings) -> None:
    """Raises Denied (PERSON_NOT_ADMITTED) unless ``claims`` hold what the operator demands."""
    for name, value in settings.required_claims.items():
        stated = claims.get(name)
        if stated != value and not (isinstance(stated, list) and value in stated):
            raise Denied(Reason.PERSON_NOT_ADMITTED)


def half_hash(token: str) -> str:
    """Return the ``at_hash`` of ``token`` for RS256 and ES256: the left half of its SHA-256."""
    return base64.urlsafe_b64encode(sha256(token.encode("utf-8", "surrogatepass")).digest()[:16]).rstrip(b"=").decode()


def _audience(claims: Mapping[str, Any], settings: OidcSettings) -> None:
    stated = claims["aud"]
    audiences = stated if isinstance(stated, list) else [stated]
    if not all(isinstance(one, str) for one in audiences) or settings.client_id not in audiences:
        raise Denied(Reason.ID_TOKEN_INVALID)
    if not set(audiences) <= {settings.client_id} | settings.extra_audiences:
        raise Denied(Reason.ID_TOKEN_INVALID)  # somebody else may hold this token and present it here
    if claims.get("azp", None if len(set(audiences)) > 1 else settings.client_id) != settings.client_id:
        raise Denied(Reason.ID_TOKEN_INVALID)


def _times(claims: Mapping[str, Any], now: float) -> None:
    expires_at, issued_at, not_before = (claims["exp"], claims["iat"], claims.get("nbf", 0))
    if any(type(one) not in (int, float) or not abs(one) < 1e12 for one in (expires_at, issued_at, not_before)):
        raise Denied(Reason.ID_TOKEN_INVALID)  # bool is an int; NaN compares as False
    if expires_at <= now - SKEW_S or issued_at < now - MAX_AGE_S:
        raise Denied(Reason.ID_TOKEN_EXPIRED)
    if max(issued_at, not_before) > now + SKEW_S:
        raise Denied(Reason.ID_TOKEN_INVALID)


def person(claims: Mapping[str, Any], settings: OidcSettings) -> Person:
    """Return whom ``claims`` name. Raises Denied (ID_TOKEN_INVALID, GROUPS_TOO_MANY)."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject.isascii() or not subject.isprintable():
        raise Denied(Reason.ID_TOKEN_INVALID)
    if not 1 <= len(subject) <= MAX_SUBJECT_CHARS:
        raise Denied(Reason.ID_TOKEN_INVALID)
    # An address that the provider says nobody has verified is one that anybody can have typed in.
    email = "" if claims.get("email_verified") in (False, "false") else _shown(claims.get("email"))
    name = _shown(claims.get("name")) or _shown(claims.get("preferred_username")) or email or _shown(subject)
    # The provider is part of the identity: another one's subject of the same name is somebody else.
    return Person(f"{subject}@{settings.name}", name, email, _groups(claims.get(settings.groups_claim)))


def session(claims: Mapping[str, Any]) -> str:
    """Return what the provider calls its session (OpenID Connect Back-Channel Logout section 2.1), "" for nothing."""
    sid = claims.get("sid")
    return sid if isinstance(sid, str) and sid.isprintable() and len(sid) <= MAX_SUBJECT_CHARS else ""


def _groups(stated: object) -> frozenset[str]:
    listed = [] if stated is None else stated if isinstance(stated, list) else [stated]
    found = [one for one in listed if isinstance(one, str) and one.isprintable()]
    if len(found) != len(listed):
        raise Denied(Reason.ID_TOKEN_INVALID)
    if sum(len(one.encode()) + 3 for one in found) > MAX_GROUPS_CHARS:
        raise Denied(Reason.GROUPS_TOO_MANY)
    return frozenset(found) - {""}


def _shown(stated: object) -> str:
    return readable(stated)[:MAX_TEXT_CHARS] if isinstance(stated, str) else ""
