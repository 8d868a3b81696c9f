"""The door of a server that runs in a process of its own: only the portal, acting for somebody, comes in.

It needs no database: a server token lives a minute, and whether its grant lives was asked by the portal's door.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp

from shared_auth import jose
from shared_auth.configuration import ConfigurationError, is_loopback
from shared_auth.exchange import judge_server_token
from shared_auth.issuer_keys import TIMEOUT_S, IssuerKeys, KeysUnavailable
from shared_auth.metadata import PROTECTED_RESOURCE
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.resource import BearerDoor
from shared_auth.settings import SCOPE
from shared_auth.tokens import TYPE

_RESOURCE = re.compile(r"https?://[a-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True)
class ServerDoorSettings:
    """What a server knows of the portal. Raises ConfigurationError for values that would be unsafe.

    ``issuer`` is the portal's public address, ``resource`` this server's own, exactly as the portal's settings name it
    in ``[upstreams.<name>] url``.
    """

    issuer: str
    resource: str

    def __post_init__(self) -> None:
        for name, url in (("issuer", self.issuer), ("resource", self.resource)):
            parts = urlsplit(url)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
                raise ConfigurationError(f"{name}: must be https unless it is a loopback address")
        if urlsplit(self.issuer).path or not _RESOURCE.fullmatch(self.resource):
            raise ConfigurationError(
                "issuer: has no path; resource: has one, without slash at its end, query, fragment"
            )

    @property
    def path(self) -> str:
        """The path of the MCP endpoint."""
        return urlsplit(self.resource).path

    @property
    def metadata_path(self) -> str:
        """The path of the RFC 9728 document."""
        return f"{PROTECTED_RESOURCE}{self.path}"

    @property
    def resource_metadata(self) -> str:
        """The address of the RFC 9728 document."""
        return f"{self.resource.removesuffix(self.path)}{self.metadata_path}"

    @property
    def jwks_uri(self) -> str:
        """Where the portal's public keys are."""
        return f"{self.issuer}/jwks.json"


class ServerDoor:
    """Believes server tokens for one server."""

    def __init__(self, settings: ServerDoorSettings, keys: IssuerKeys, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock

    def before(self, app: ASGIApp, *, keeps: bool = False) -> ASGIApp:
        """Return ``app`` behind this door: it sees only requests of a principal, found with ``principal_of(scope)``.

        With ``keeps``, ``bearer_of(scope)`` is the server token, for the portal's ``/token`` and nothing else.
        """
        return BearerDoor(app, self._settings, self._admit, keeps=keeps)

    def document(self) -> dict[str, Any]:
        """Return the RFC 9728 document."""
        return {
            "resource": self._settings.resource,
            "authorization_servers": [self._settings.issuer],
            "scopes_supported": [SCOPE],
            "bearer_methods_supported": ["header"],
        }

    async def _admit(self, token: str) -> Principal:
        settings = self._settings
        try:
            keys = await self._keys.get(jose.key_id(token))
            claims = jose.verify(token, keys, typ=TYPE)
        except jose.BadToken:
            raise Denied(Reason.TOKEN_INVALID) from None
        except KeysUnavailable:
            raise Denied(Reason.STORE_DOWN) from None
        audience = settings.resource
        principal = judge_server_token(claims, issuer=settings.issuer, audience=audience, now=self._clock()).principal
        if SCOPE not in principal.scopes:
            raise Denied(Reason.SCOPE_MISSING)
        return principal


@asynccontextmanager
async def open_door(
    settings: ServerDoorSettings, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[ServerDoor]:
    """Yield the door; it fetches the portal's keys when it first needs them, without redirects and without a proxy."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as http:
        yield ServerDoor(settings, IssuerKeys(settings.jwks_uri, http, clock=clock), clock=clock)
