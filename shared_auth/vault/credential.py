"""What a server is handed to act with at its vendor, and the three ways of not getting it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from shared_auth.principal import Principal


@dataclass(frozen=True, slots=True)
class Site:
    """One of the places that a person's token may be used at: a Jira site, a Sentry organisation."""

    id: str
    name: str
    url: str

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {"id": self.id, "name": self.name, "url": self.url}


@dataclass(frozen=True, slots=True)
class Credential:
    """An access token for the vendor, never a refresh token. ``site`` is where to use it, for vendors with several.

    ``scopes`` are what it permits, with what those include at the vendor; None where that is not known.
    """

    token: str = field(repr=False)
    site: Site | None = None
    expires_at: int | None = None
    scopes: frozenset[str] | None = None


class NotConnected(Exception):
    """The person must connect their account (again) at the portal's page for this server; trying again is no use."""


class NoPerson(Exception):
    """A client that acts for itself has no account at a vendor."""


class CredentialUnavailable(Exception):
    """There is no answer now. The same request may succeed later; the text is ours and names no address."""


class Credentials(Protocol):
    """Who gives a server its credential: the vault in the portal's process, the portal's ``/token`` elsewhere."""

    async def __call__(self, principal: Principal, server_token: str = "", /, *, rejected: str = "") -> Credential:
        """Return the credential of ``principal``. Raises NotConnected, NoPerson or CredentialUnavailable.

        ``server_token`` is what the portal sent along to a server in a process of its own. ``rejected`` is the SHA-256
        (``opaque.digest``) of a token that the vendor has just refused: another one comes back where there is one.
        """
        ...


def site_of(value: Any) -> Site | None:
    """Return the site that ``Site.to_json`` wrote, None for None."""
    return None if value is None else Site(value["id"], value["name"], value["url"])
