"""The credential of whoever calls: the only way in which a server gets to act as a person at its vendor.

    headers = {"Authorization": f"Bearer {(await credential()).token}"}

inside a tool's call, or ``open_http(…, as_caller=True)``, which puts it on every request and renews one that the
vendor refuses. In the portal's process the vault answers; in a process of its own the portal's ``/token`` does.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from servers._kit.failures import ConnectNeeded, Forbidden, ScopeNeeded, VendorUnavailable
from shared_auth import opaque
from shared_auth.outbound import Answer, Outbound, Unreachable
from shared_auth.principal import Principal
from shared_auth.vault.credential import (
    Credential,
    Credentials,
    CredentialUnavailable,
    NoPerson,
    NotConnected,
    site_of,
)

__all__ = ["Credential", "Credentials", "calling", "credential"]

MAX_ANSWER_BYTES = 65_536

_asker: ContextVar[_Asker] = ContextVar("asker")


class _Asker:
    """One tool call's way to its credential, which is asked for once and again only when the vendor refuses it."""

    def __init__(self, ask: Callable[[str], Awaitable[Credential]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._found: Credential | None = None
        self.changed = False

    async def get(self, rejected: str) -> Credential:
        async with self._lock:
            if self._found is None or opaque.digest(self._found.token) == rejected:
                self._found = await self._ask(rejected)
            return self._found


async def credential(*, rejected: str = "") -> Credential:
    """Return the credential of whoever makes this call; ``rejected`` is a token that the vendor has just refused.

    Raises ConnectNeeded when the person has to connect their account first, Forbidden for a client that acts for
    itself, VendorUnavailable when there is none now. Works in a tool's call alone, of a server that is given
    credentials.
    """
    asker = _asker.get()
    try:
        return await asker.get(opaque.digest(rejected) if rejected else "")
    except NotConnected:
        raise ConnectNeeded("the account is not connected") from None
    except NoPerson:
        raise Forbidden(
            "this server acts with people's own accounts, and a client that acts for itself has none"
        ) from None
    except CredentialUnavailable as error:
        raise VendorUnavailable(str(error)) from None


async def require(scopes: tuple[str, ...]) -> None:
    """Let a call go on whose caller has granted ``scopes``, or of whom that is not known: then the vendor will say.

    Raises ScopeNeeded that names those that are missing, and as ``credential`` does. A server without credentials acts
    with an account of its own, of which nothing is known.
    """
    if not scopes or _asker.get(None) is None:
        return
    granted = (await credential()).scopes
    missing = () if granted is None else tuple(one for one in scopes if one not in granted)
    if missing:
        raise ScopeNeeded("the account has not granted what this takes", missing)


def note_change() -> None:
    """Note that this tool's call has changed something at the vendor: from now on it must not be made again."""
    asker = _asker.get(None)
    if asker is not None:
        asker.changed = True


def has_changed() -> bool:
    """Say whether this tool's call has changed something at the vendor."""
    asker = _asker.get(None)
    return asker is not None and asker.changed


@contextmanager
def calling(credentials: Credentials, caller: Callable[[], tuple[Principal, str]]) -> Iterator[None]:
    """Let ``credential`` answer for ``caller``, which is (who calls, the server token that came along)."""

    async def ask(rejected: str) -> Credential:
        principal, server_token = caller()
        return await credentials(principal, server_token, rejected=rejected)

    token = _asker.set(_Asker(ask))
    try:
        yield
    finally:
        _asker.reset(token)


@dataclass(frozen=True, slots=True)
class PortalCredentials:
    """The portal's ``/token`` as one server in a process of its own sees it (RFC 8693).

    ``client_id`` is declared for this server in the portal's settings; ``resource`` is the server's own address.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    resource: str
    outbound: Outbound = field(default_factory=Outbound)

    async def __call__(self, _principal: Principal, server_token: str = "", /, *, rejected: str = "") -> Credential:
        """Return the credential of whoever the server token is of. Raises as Credentials says."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": server_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "resource": self.resource,
        } | ({"rejected_sha256": rejected} if rejected else {})
        # RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
        both = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        headers = {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
        url = f"{self.issuer}/token"
        try:
            answer = await self.outbound.send("POST", url, max_bytes=MAX_ANSWER_BYTES, headers=headers, form=form)
            return _credential(answer)
        except Unreachable:
            raise CredentialUnavailable("the portal does not answer") from None


def _credential(answer: Answer) -> Credential:
    try:
        found: Any = json.loads(answer.body)
        if answer.status == 200:
            scopes = frozenset(found.get("scope", "").split()) or None
            return Credential(found["access_token"], site_of(found.get("site")), scopes=scopes)
        error = found["error"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise CredentialUnavailable("the portal answered something that is no credential") from None
    if error == "invalid_grant":
        raise NotConnected
    if error == "unauthorized_client":
        raise NoPerson
    # Written by the portal from its own few words; anything else would be a misconfigured address.
    raise CredentialUnavailable("the portal hands no credential over now; its log says why")
