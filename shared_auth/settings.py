"""The one settings object of the auth flow: what it may assume, refused at start when it would be unsafe."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared_auth.authorization.document_settings import DocumentSettings
from shared_auth.configuration import ConfigurationError, is_loopback
from shared_auth.identity.settings import OidcSettings
from shared_auth.principal import CLIENT_SUBJECT

SCOPE = "mcp"
"""The one scope: small on purpose, because policy decides per tool (AUTH: scope minimisation)."""

SECRET_BYTES = 32
MAX_ACCESS_TOKEN_S = 86_400

_ORIGIN = re.compile(r"https?://(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Everything that the auth flow needs to know. Raises ConfigurationError for values that would be unsafe.

    ``issuer`` is an origin without path or trailing slash; ``resource`` is the canonical URI of the protected
    endpoint on that origin (RFC 8707) and the audience of every access token. ``secret`` is 32 random bytes that
    seal what the database holds; whoever has it and the database can sign tokens. People sign in through ``oidc``, or
    on loopback by the local link; ``documents`` lets agents be known by a client ID metadata document.
    """

    issuer: str
    resource: str
    secret: bytes = field(repr=False)
    access_token_s: int = 600
    refresh_token_s: int = 30 * 86_400
    grant_s: int = 90 * 86_400
    registrations_per_address: int = 30
    local_sign_in: bool = False
    local_subject: str = "local"
    local_name: str = "Local developer"
    local_email: str = ""
    local_groups: frozenset[str] = frozenset()
    admin_groups: frozenset[str] = frozenset()
    oidc: OidcSettings | None = None
    documents: DocumentSettings | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != SECRET_BYTES:
            raise ConfigurationError(f"secret: must be exactly {SECRET_BYTES} random bytes")
        if not _ORIGIN.fullmatch(self.issuer):
            raise ConfigurationError("issuer: must be http(s)://host[:port] in lower case, without path or slash")
        if not self.secure and not self.loopback:
            raise ConfigurationError("issuer: must be https unless it is a loopback address (tokens travel over it)")
        if not self.resource.startswith(f"{self.issuer}/") or not _PATH.fullmatch(self.resource_path):
            raise ConfigurationError("resource: must be the issuer and a path, without trailing slash, query, fragment")
        self._judge_lives()
        self._judge_sign_in()
        if not self.local_subject or "" in self.local_groups | self.admin_groups:
            raise ConfigurationError("local_subject, local_groups, admin_groups: must not be empty names")
        if self.local_subject.startswith(CLIENT_SUBJECT):
            raise ConfigurationError(f"local_subject: must not begin with {CLIENT_SUBJECT}")

    def _judge_lives(self) -> None:
        if not 1 <= self.access_token_s <= MAX_ACCESS_TOKEN_S:
            raise ConfigurationError(f"access_token_s: must be between 1 and {MAX_ACCESS_TOKEN_S}")
        if self.refresh_token_s < self.access_token_s:
            raise ConfigurationError("refresh_token_s: must not be shorter than access_token_s")
        if self.grant_s < self.access_token_s:
            raise ConfigurationError("grant_s: must not be shorter than access_token_s")
        if self.registrations_per_address < 1:
            raise ConfigurationError("registrations_per_address: must be at least 1")

    def _judge_sign_in(self) -> None:
        if self.local_sign_in and not self.loopback:
            raise ConfigurationError(
                "local_sign_in: only for a loopback issuer (it signs in whoever holds the printed link); on any other "
                "address, name the company's provider in oidc"
            )
        if self.local_sign_in and self.oidc is not None:
            raise ConfigurationError(
                "local_sign_in, oidc: one way to sign in only, or the link would go round the other"
            )
        if not self.local_sign_in and self.oidc is None and not self.loopback:
            raise ConfigurationError("oidc: must be set on any address but loopback, or nobody could sign in")

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https, so that cookies can be ``Secure`` and ``__Host-``."""
        return self.issuer.startswith("https://")

    @property
    def loopback(self) -> bool:
        """Whether the issuer is this machine alone."""
        return is_loopback(urlsplit(self.issuer).hostname or "")

    @property
    def signed_in_within_s(self) -> int | None:
        """How old what is known of a person may be when a token is minted. None: the local person does not age."""
        return None if self.oidc is None else self.oidc.sign_in_again_s

    @property
    def resource_path(self) -> str:
        """The path of the protected endpoint, such as ``/mcp``."""
        return self.resource.removeprefix(self.issuer)

    @property
    def resource_metadata(self) -> str:
        """The address of the RFC 9728 document, its path inserted as section 3.1 says."""
        return f"{self.issuer}/.well-known/oauth-protected-resource{self.resource_path}"
