"""An OAuth client: what it calls itself, where it may be answered, and how it proves to be itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from shared_auth.authorization import redirects
from shared_auth.authorization.declared import AUTHORIZATION_CODE, REFRESH_TOKEN, AuthMethod, DeclaredClient
from shared_auth.reasons import Denied, Reason

RegistrableMethod = Literal["none", "client_secret_basic", "client_secret_post"]
AUTH_METHODS: tuple[RegistrableMethod, ...] = ("none", "client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Client:
    """A client. ``name`` is what it calls itself and proves nothing, unless the operator ``declared`` it."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: AuthMethod
    may_refresh: bool
    secret_hash: str | None = field(default=None, repr=False)
    declared: DeclaredClient | None = None

    @property
    def publisher(self) -> str:
        """The host that vouches for this client by publishing its document; "" for one that registered itself."""
        return urlsplit(self.client_id).netloc if self.client_id.startswith("https://") else ""

    def may(self, grant_type: str) -> bool:
        """Say whether the client may ask for a token in this way."""
        if self.declared is not None:
            return grant_type in self.declared.grant_types
        return grant_type == AUTHORIZATION_CODE or (grant_type == REFRESH_TOKEN and self.may_refresh)

    def redirect_uri(self, wanted: str | None) -> str:
        """Return the address to answer to. Raises Denied, and then nothing may be sent anywhere."""
        if wanted is None:
            if len(self.redirect_uris) != 1:
                raise Denied(Reason.REDIRECT_URI_MISSING)
            return self.redirect_uris[0]
        if not redirects.registered(wanted, self.redirect_uris):
            raise Denied(Reason.REDIRECT_URI_UNREGISTERED)
        return wanted
