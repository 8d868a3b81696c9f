"""Clients that the operator declares in settings: judged at start, never expiring, and able to do what no stranger may.

A registered client (RFC 7591) can only send people through the sign-in. Acting for itself, signing in on a machine
without a browser and asking about tokens are for clients declared here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from shared_auth import jose
from shared_auth.authorization import redirects
from shared_auth.configuration import ConfigurationError
from shared_auth.settings import SCOPE

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
PUBLIC: AuthMethod = "none"
PRIVATE_KEY: AuthMethod = "private_key_jwt"

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant type
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - the name of a grant type
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER)

RESERVED = frozenset({"portal", "portal-web", "portal-cli"})
MAX_KEYS = 10

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Members of a JWK that are secret (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1): settings are no place for them.
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class DeclaredClient:
    """One client of the settings. Raises ConfigurationError that names the client and the setting.

    ``secret_hash`` is the hexadecimal SHA-256 of a secret of at least 256 random bits; ``keys`` are public JWKs, each
    with its ``kid``. ``groups`` are what policy sees when the client acts for itself. ``server`` is the server that
    this client is: it may ask for the credentials of whoever calls that one.
    """

    client_id: str
    name: str
    auth_method: AuthMethod
    grant_types: frozenset[str]
    redirect_uris: tuple[str, ...] = ()
    secret_hash: str | None = field(default=None, repr=False)
    keys: Mapping[str, jose.Key] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset({SCOPE})
    may_introspect: bool = False
    server: str = ""

    def __post_init__(self) -> None:
        for wrong, message in self._faults():
            if wrong:
                raise ConfigurationError(f"auth.clients.{self.client_id}: {message}")

    def _faults(self) -> Iterator[tuple[bool, str]]:
        public, code = self.auth_method == PUBLIC, AUTHORIZATION_CODE in self.grant_types
        yield _ID.fullmatch(self.client_id) is None, "the id may hold letters, digits, '.', '_' and '-'"
        yield self.client_id in RESERVED, "this id belongs to the portal itself"
        yield not self.name, "name: must not be empty"
        unknown = self.grant_types - set(GRANT_TYPES)
        yield bool(unknown), f"grant_types: known are {', '.join(GRANT_TYPES)}"
        yield not self.grant_types and not self.may_introspect, "grant_types: name at least one"
        alone = REFRESH_TOKEN in self.grant_types and not self.grant_types & {AUTHORIZATION_CODE, DEVICE_CODE}
        yield alone, "grant_types: refresh_token needs authorization_code or the device code beside it"
        yield code != bool(self.redirect_uris), "redirect_uris: needed for authorization_code, and for nothing else"
        refused = not all(map(redirects.registrable, self.redirect_uris))
        yield refused, "redirect_uris: each must be https, or http on localhost, 127.0.0.1 or [::1]"
        yield public and CLIENT_CREDENTIALS in self.grant_types, "client_credentials needs secret_hash or jwks"
        yield (
            (TOKEN_EXCHANGE in self.grant_types) != bool(self.server),
            "server: needed for token-exchange, and only then",
        )
        yield public and bool(self.server), "token-exchange needs secret_hash or jwks"
        yield public and JWT_BEARER in self.grant_types, "identity assertions need secret_hash or jwks"
        yield public and self.may_introspect, "introspect needs secret_hash or jwks"
        by_secret = self.auth_method in {"client_secret_basic", "client_secret_post"}
        yield by_secret != (self.secret_hash is not None), "secret_hash: goes with a client_secret method and no other"
        hashed = self.secret_hash is None or _SHA256.fullmatch(self.secret_hash) is not None
        yield not hashed, "secret_hash: must be a hexadecimal SHA-256; `portal client-secret` makes one"
        yield (self.auth_method == PRIVATE_KEY) != bool(self.keys), "jwks: goes with private_key_jwt and no other"
        yield not self.scopes or not self.scopes <= {SCOPE}, f"scopes: there is one, {SCOPE}"
        yield "" in self.groups, "groups: must not be empty names"


class Declared:
    """The declared clients of a portal, by id, and what they together make it serve."""

    def __init__(self, clients: Sequence[DeclaredClient] = ()) -> None:
        self._clients = {client.client_id: client for client in clients}
        if len(self._clients) != len(clients):
            raise ConfigurationError("auth.clients: an id is declared twice")

    def find(self, client_id: str) -> DeclaredClient | None:
        """Return the client, None when it is not declared."""
        return self._clients.get(client_id)

    @property
    def grant_types(self) -> tuple[str, ...]:
        """What the token endpoint serves: what registered clients may use, and what a declared client uses."""
        used = {name for client in self._clients.values() for name in client.grant_types}
        return tuple(name for name in GRANT_TYPES if name in used | {AUTHORIZATION_CODE, REFRESH_TOKEN})

    @property
    def introspects(self) -> bool:
        """Whether a client may introspect tokens."""
        return any(client.may_introspect for client in self._clients.values())

    @property
    def by_private_key(self) -> bool:
        """Whether a client authenticates with private_key_jwt."""
        return any(client.auth_method == PRIVATE_KEY for client in self._clients.values())


def read_keys(client_id: str, jwks: Sequence[Mapping[str, Any]]) -> Mapping[str, jose.Key]:
    """Return public JWKs by ``kid``. Raises ConfigurationError for one that is private, weak or has no name."""
    found: dict[str, jose.Key] = {}
    for jwk in jwks:
        kid = jwk.get("kid")
        if not isinstance(kid, str) or not kid or kid in found:
            raise ConfigurationError(f"auth.clients.{client_id}: jwks: each key needs a kid of its own")
        if _SECRET_MEMBERS & jwk.keys():
            raise ConfigurationError(f"auth.clients.{client_id}: jwks: holds a private key; give the public half")
        try:
            jose.check_key(jwk)
        except jose.BadToken:
            raise ConfigurationError(
                f"auth.clients.{client_id}: jwks: each key must be EC P-256, or RSA of 2048 bits, for signatures"
            ) from None
        found[kid] = MappingProxyType(dict(jwk))
    if len(found) > MAX_KEYS:
        raise ConfigurationError(f"auth.clients.{client_id}: jwks: at most {MAX_KEYS} keys")
    return MappingProxyType(found)
