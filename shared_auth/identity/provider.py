"""What the provider says of itself (OpenID Connect Discovery): judged once, kept an hour, fetched by one at a time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared_auth.configuration import is_protected
from shared_auth.identity.settings import OidcSettings
from shared_auth.outbound import Outbound, Unreachable
from shared_auth.reasons import Denied, Reason

log = logging.getLogger("shared_auth")

FRESH_S = 3_600
RETRY_AFTER_S = 5
"""How long a failure is remembered: people who press the button again are not turned into requests."""
MAX_BYTES = 65_536
SECRET_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's endpoints, each https or on loopback. ``end_session_endpoint`` is "" where it has none."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str
    auth_method: str
    states_issuer: bool
    """Whether every answer of the authorization endpoint carries ``iss`` (RFC 9207 section 3)."""


class Discovery:
    """Finds the provider's endpoints."""

    def __init__(self, settings: OidcSettings, outbound: Outbound, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._outbound = outbound
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: Provider | None = None
        self._asked_at = float("-inf")

    async def provider(self) -> Provider:
        """Return the provider. Raises Denied (PROVIDER_DOWN) when it cannot be asked or cannot be believed."""
        async with self._lock:
            age_s = self._clock() - self._asked_at
            if not 0 <= age_s < (RETRY_AFTER_S if self._found is None else FRESH_S):
                self._asked_at, self._found = self._clock(), None
                self._found = await self._ask()
            if self._found is None:
                raise Denied(Reason.PROVIDER_DOWN)
            return self._found

    async def _ask(self) -> Provider | None:
        # Discovery section 4: a trailing slash of the issuer is not doubled.
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            answer = await self._outbound.send("GET", url, max_bytes=MAX_BYTES)
            if answer.status != 200 or not answer.is_json:
                raise Unbelievable("no JSON document")
            return judge(answer.body, self._settings)
        except (Unreachable, Unbelievable) as error:
            log.warning("provider.discovery_failed", extra={"why": str(error)})
            return None


class Unbelievable(Exception):
    """A document that must not be acted on. Its text is ours and quotes nothing."""


def judge(raw: bytes, settings: OidcSettings) -> Provider:
    """Return the provider that the document ``raw`` describes. Raises Unbelievable. Pure."""
    document = json_object(raw)
    # Discovery section 4.3: exactly the issuer that was asked, or another one could answer for it (mix-up).
    if document.get("issuer") != settings.issuer:
        raise Unbelievable("the document is of another issuer")
    found = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    if not all(map(is_protected, found.values())):
        raise Unbelievable("an endpoint is missing or is not https")
    challenges = document.get("code_challenge_methods_supported", ["S256"])
    if not isinstance(challenges, list) or "S256" not in challenges:
        raise Unbelievable("the provider does not do PKCE with S256")
    leave = document.get("end_session_endpoint")
    return Provider(
        authorization_endpoint=str(found["authorization_endpoint"]),
        token_endpoint=str(found["token_endpoint"]),
        jwks_uri=str(found["jwks_uri"]),
        end_session_endpoint=leave if isinstance(leave, str) and is_protected(leave) else "",
        auth_method=_auth_method(document, settings),
        states_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that ``raw`` holds. Raises Unbelievable."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Unbelievable("not JSON") from None
    if not isinstance(value, dict):
        raise Unbelievable("not a JSON object")
    return value


def _auth_method(document: dict[str, Any], settings: OidcSettings) -> str:
    if not settings.client_secret:
        return "none"
    offered = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    for method in SECRET_METHODS:
        if isinstance(offered, list) and method in offered:
            return method
    raise Unbelievable("the provider takes no client secret")
