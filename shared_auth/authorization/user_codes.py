"""The short code that a person types in (RFC 8628 section 6.1): no vowels, no digits, nothing that looks alike.

Eight of twenty letters are 34 bits: enough against guessing within ten minutes, because whoever guesses is signed in
and slowed down; far too little for a plain hash, so what is stored is keyed with the portal's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8

_PURPOSE = b"portal device user code "


def new() -> str:
    """Return a new code, as people see it: ``BCDF-GHJK``."""
    code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    return f"{code[:4]}-{code[4:]}"


def typed(text: str) -> str | None:
    """Return the code that somebody typed, in whatever case and with whatever between; None when it is none."""
    code = "".join(one for one in text.upper() if one in string.ascii_uppercase + string.digits)
    return code if len(code) == LENGTH and set(code) <= set(LETTERS) else None


def digest(code: str, secret: bytes) -> str:
    """Return what the database stores in place of a typed ``code``."""
    return hmac.new(secret, _PURPOSE + code.encode(), hashlib.sha256).hexdigest()
