"""The only module that imports python-jose: one key, one algorithm, and no claim rules of the library's.

python-jose's defaults are unsafe (it picks the algorithm from the header, tries every key, ignores ``crit``),
so nothing of it is used but the signature primitive over a key that was already chosen here.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from jose import jws
from jose.exceptions import JOSEError

MAX_TOKEN_BYTES = 16_384
MAX_DEPTH = 16
ALGORITHMS = {"ES256": "EC", "RS256": "RSA"}
MIN_RSA_BYTES = 256
_FORBIDDEN_HEADERS = frozenset({"crit", "jku", "jwk", "x5u", "x5c"})

Key = Mapping[str, Any]


class BadToken(Exception):
    """The token must not be believed. Its text is for the audit log; it never quotes the token."""


def _base64url(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("not base64url") from None


def _part(part: str) -> bytes:
    """Return the bytes of one part of a token, which have exactly one spelling (RFC 7515 section 2).

    Decoders let padding and spare bits pass: a token could then be changed and still be good.
    """
    raw = _base64url(part)
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode("ascii"):
        raise BadToken("not base64url")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadToken("duplicate JSON key")
    return found


def _object(part: str) -> dict[str, Any]:
    raw = _part(part)
    depth = deepest = 0
    for byte in raw:  # brackets inside strings count too: the bound may only be stricter than the real depth
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise BadToken("nested too deeply")
    try:
        value = json.loads(raw, object_pairs_hook=_unique)
    except ValueError:
        raise BadToken("not JSON") from None
    if not isinstance(value, dict):
        raise BadToken("not a JSON object")
    return value


def check_key(key: Key) -> str:
    """Return the one algorithm that the public or private JWK ``key`` may be used with.

    Raises BadToken for a symmetric, encryption-only, too small or unsupported key.
    """
    kty, alg = key.get("kty"), key.get("alg")
    if key.get("use", "sig") != "sig":
        raise BadToken("key is not for signatures")
    if kty == "EC" and key.get("crv") == "P-256" and alg in (None, "ES256"):
        return "ES256"
    if kty == "RSA" and alg in (None, "RS256"):
        modulus = key.get("n")
        if not isinstance(modulus, str) or len(_base64url(modulus).lstrip(b"\0")) < MIN_RSA_BYTES:
            raise BadToken("RSA key under 2048 bits")
        return "RS256"
    raise BadToken("unsupported key")


def _header(token: object) -> dict[str, Any]:
    if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
        raise BadToken("not a compact JWS")
    return _object(token.partition(".")[0])


def claimed(token: object) -> dict[str, Any]:
    """Return the claims of ``token``, believed by nobody yet: only to find whose key to ask. Raises BadToken."""
    _header(token)
    assert isinstance(token, str)  # noqa: S101 - _header refuses anything else
    return _object(token.split(".")[1])


def claimed_type(token: object) -> object:
    """Return the ``typ`` that the header claims, believed by nobody yet. Raises BadToken."""
    return _header(token).get("typ")


def key_id(token: object) -> object:
    """Return the ``kid`` that the header claims, believed by nobody yet. Raises BadToken when there is no header."""
    return _header(token).get("kid")


def verify(token: object, keys: Mapping[str, Key], *, typ: str, untyped: bool = False) -> dict[str, Any]:
    """Return the claims of a compact JWS whose signature one key of ``keys`` (by ``kid``) made.

    Guarantees only the signature and the header (RFC 7515, RFC 8725 sections 3.1 and 3.11): claims are judged by the
    caller. ``typ`` must match exactly, ignoring case; with ``untyped`` it may be absent, as in ID tokens. Raises
    BadToken for everything else.
    """
    header = _header(token)
    if _FORBIDDEN_HEADERS & header.keys():
        raise BadToken("header parameter refused")
    kid, alg, given = header.get("kid"), header.get("alg"), header.get("typ")
    if not (untyped and "typ" not in header) and (not isinstance(given, str) or given.lower() != typ.lower()):
        raise BadToken("wrong typ")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise BadToken("algorithm refused")
    if not isinstance(kid, str) or kid not in keys:
        raise BadToken("unknown key")
    key = keys[kid]
    if check_key(key) != alg:
        raise BadToken("algorithm is not the key's")
    assert isinstance(token, str)  # noqa: S101 - _header refuses anything else
    _, body, signature = token.split(".")
    claims = _object(body)
    _part(signature)
    try:
        jws.verify(token, dict(key), [alg])
    except (JOSEError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        raise BadToken("bad signature") from None
    return claims


def sign(claims: Mapping[str, Any], key: Key, *, typ: str) -> str:
    """Return ``claims`` as a compact JWS made with the private JWK ``key``, which must carry its ``kid``."""
    return str(jws.sign(dict(claims), dict(key), headers={"kid": key["kid"], "typ": typ}, algorithm=check_key(key)))
