"""Declared clients of tests, and the assertions that they sign."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from shared_auth import jose, opaque
from shared_auth.authorization.assertions import TYPE
from shared_auth.authorization.declared import DeclaredClient
from shared_auth.keys import generate, public_half
from tests.shared_auth.flow import CALLBACK, ISSUER, Clock, Flow, without

KEY = generate()
OTHER_KEY = generate()
SECRET = "mps_a-secret-of-the-build"

_numbers = itertools.count()

BUILD = DeclaredClient(
    client_id="build",
    name="The build",
    auth_method="client_secret_basic",
    grant_types=frozenset({"client_credentials"}),
    secret_hash=opaque.digest(SECRET),
    groups=frozenset({"robots"}),
)
NIGHTLY = DeclaredClient(
    client_id="nightly",
    name="Nightly report",
    auth_method="private_key_jwt",
    grant_types=frozenset({"client_credentials"}),
    keys={KEY["kid"]: public_half(KEY)},
)
EDITOR = DeclaredClient(
    client_id="editor",
    name="The editor",
    auth_method="none",
    grant_types=frozenset({"authorization_code", "refresh_token"}),
    redirect_uris=(CALLBACK,),
)

TERMINAL = DeclaredClient(
    client_id="terminal",
    name="Terminal agent",
    auth_method="none",
    grant_types=frozenset({"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}),
)
KIOSK = DeclaredClient(
    client_id="kiosk",
    name="Kiosk",
    auth_method="client_secret_post",
    grant_types=frozenset({"urn:ietf:params:oauth:grant-type:device_code"}),
    secret_hash=opaque.digest(SECRET),
)

MONITOR = DeclaredClient(
    client_id="monitor",
    name="Token monitor",
    auth_method="client_secret_post",
    grant_types=frozenset(),
    secret_hash=opaque.digest(SECRET),
    may_introspect=True,
)


def claims(clock: Clock, **changes: Any) -> dict[str, Any]:
    now = int(clock())
    found = {
        "iss": "nightly",
        "sub": "nightly",
        "aud": ISSUER,
        "exp": now + 60,
        "iat": now,
        "jti": f"j{next(_numbers)}",
    }
    return without(found | changes)


def assertion(clock: Clock, *, typ: str = "JWT", key: Any = KEY, **changes: Any) -> str:
    return jose.sign(claims(clock, **changes), key, typ=typ)


async def ask_with(flow: Flow, signed: str, **changes: Any) -> Any:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": signed}
    return await flow.token(**(form | changes))


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin(token: str) -> str:
    """Return the token with the other signature that ECDSA lets everybody make of a good one: (r, -s)."""
    said, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    return f"{said}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"
