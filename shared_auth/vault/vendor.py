"""A vendor's OAuth as data: nothing about a vendor stands in code, so a new one is a table in the settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from shared_auth.addresses import Network
from shared_auth.configuration import ConfigurationError, is_protected
from shared_auth.opaque import digest

AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
Body = Literal["form", "json"]

IDENTITY_SCOPES = frozenset({"offline_access", "openid", "profile", "email"})
"""Scopes that give no access to data: vendors may leave them out of their answer without taking anything away."""

_OWN_PARAMETERS = frozenset(
    {"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"}
)
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True)
class Vendor:
    """How people connect their accounts at one vendor. Raises ConfigurationError that names the setting.

    ``authorize_params`` go beside our own parameters. ``issuer`` is what an ``iss`` in the vendor's answer must be;
    with ``states_issuer`` it must be there. ``sites_url`` lists the sites or organisations that a token may be used at,
    as JSON objects whose members ``site_id``, ``site_name`` and ``site_url`` name; the person chooses one.
    ``more_scopes`` may be asked for besides, each when a call needs it (MCP security: Scope Minimization).
    ``scope_includes`` names, for a scope that permits what others permit, all of those others.
    ``required_scopes`` are those without which the server is of no use. With ``revoke_ends_all`` the vendor ends
    everything that the person let the portal do when one token is revoked. A host that resolves to a private address is
    connected to only when that is in ``networks``; an address that is written out is meant.
    """

    title: str
    authorize_url: str
    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    revoke_url: str = ""
    revoke_ends_all: bool = False
    scopes: tuple[str, ...] = ()
    more_scopes: tuple[str, ...] = ()
    scope_includes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    required: frozenset[str] | None = None
    pkce: bool = True
    auth_method: AuthMethod = "client_secret_post"
    body: Body = "form"
    authorize_params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    redirect_uri_on_refresh: bool = False
    issuer: str = ""
    states_issuer: bool = False
    sites_url: str = ""
    site_id: str = "id"
    site_name: str = "name"
    site_url: str = "url"
    networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        for wrong, message in self._faults():
            if wrong:
                raise ConfigurationError(message)

    def _faults(self) -> Iterator[tuple[bool, str]]:
        for name in ("authorize_url", "token_url", "revoke_url", "sites_url"):
            url = getattr(self, name)
            optional = name in {"revoke_url", "sites_url"}
            message = f"{name}: must be https, or http on this machine, without fragment"
            yield not is_protected(url) and not (optional and not url), message
        taken = _OWN_PARAMETERS & {name for name, _ in parse_qsl(urlsplit(self.authorize_url).query)}
        yield bool(taken), "authorize_url: its query must not hold what the portal sends itself"
        yield not self.client_id or not self.client_id.isprintable(), "client_id: must be what the vendor registered"
        proven = self.auth_method != "none"
        yield proven != bool(self.client_secret), "client_secret: needed, unless auth_method is none"
        yield self.auth_method == "none" and not self.pkce, "pkce: must be on without a client_secret"
        yield not self.scopes, "scopes: name what to ask for"
        related = [one for wider, included in self.scope_includes.items() for one in (wider, *included)]
        for name, scopes in (
            ("scopes", self.scopes),
            ("more_scopes", self.more_scopes),
            ("scope_includes", related),
        ):
            words = all(one and one.isascii() and one.isprintable() and " " not in one for one in scopes)
            yield not words, f"{name}: must be single words"
        unasked = self.required_scopes - set(self.scopes)
        yield bool(unasked), "required_scopes: must be among scopes"
        taken = _OWN_PARAMETERS & self.authorize_params.keys()
        yield bool(taken), f"authorize_params: {', '.join(sorted(taken))} is sent by the portal itself"

    @cached_property
    def required_scopes(self) -> frozenset[str]:
        """Scopes without which a grant is no use: by default all that give access to data."""
        return frozenset(self.scopes) - IDENTITY_SCOPES if self.required is None else self.required

    @property
    def host(self) -> str:
        """Where people are sent, for them to read."""
        return urlsplit(self.authorize_url).netloc

    @cached_property
    def expected_issuer(self) -> str:
        """What an ``iss`` of the vendor's must be (RFC 9207): ``issuer``, else the origin that people are sent to."""
        parts = urlsplit(self.authorize_url)
        return self.issuer or f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def binding(self) -> str:
        """What a grant belongs to: registration and token endpoint. After a change of either it is used no more."""
        return digest(f"{self.token_url} {self.client_id}")

    @property
    def form_target(self) -> str:
        """The CSP source that lets a form's answer lead to the vendor and through whatever signs people in there."""
        parts = urlsplit(self.authorize_url)
        return "https:" if parts.scheme == "https" else f"https: http://{parts.netloc}"

    def allowed(self, url: str) -> tuple[Network, ...]:
        """Return which private networks a request to ``url`` may end in."""
        host = (urlsplit(url).hostname or "").strip("[]")
        try:
            return (*self.networks, ipaddress.ip_network(host))
        except ValueError:
            return (*self.networks, *_LOOPBACK) if host == "localhost" else self.networks

    @cached_property
    def grantable(self) -> tuple[str, ...]:
        """All that people may be asked for, at once or when a call needs it."""
        return tuple(dict.fromkeys((*self.scopes, *self.more_scopes)))

    def asked(self, granted: str, wanted: Collection[str]) -> tuple[str, ...]:
        """Return what to ask for: ``scopes``, and of ``more_scopes`` what was granted before or is wanted now."""
        kept = {*granted.split(), *wanted}
        return (*self.scopes, *(one for one in self.more_scopes if one in kept and one not in self.scopes))

    def permits(self, granted: str) -> frozenset[str]:
        """Return the scopes of ``granted`` with those that they include at this vendor."""
        named = granted.split()
        return frozenset(named).union(*(self.scope_includes.get(one, ()) for one in named))

    def asking(self, needed: Collection[str]) -> tuple[str, ...]:
        """Return what to ask people for who lack ``needed``: each itself, else the first that includes it, and nothing
        for what the settings do not provide for.
        """
        wider = {one: next((w for w in self.grantable if one in self.permits(w)), "") for one in needed}
        wanted = {one if one in self.grantable else wider[one] for one in needed}
        return tuple(scope for scope in self.grantable if scope in wanted)

    def lost(self, before: str, after: str) -> tuple[str, ...]:
        """Return what people may be asked for that a grant of ``before`` permits and one of ``after`` does not."""
        gone = self.permits(before) - self.permits(after) - IDENTITY_SCOPES
        return tuple(scope for scope in self.grantable if scope in gone)

    def missing(self, granted: str) -> tuple[str, ...]:
        """Return which required scopes ``granted`` lacks, in the order in which they are asked for."""
        have = self.permits(granted)
        return tuple(scope for scope in self.scopes if scope in self.required_scopes and scope not in have)


@dataclass(frozen=True, slots=True)
class VaultServer:
    """Whose credential one server works with: each person's own at ``vendor``, or one ``service_token`` for all.

    ``resource`` is the server's address when it is a process of its own and asks for credentials at ``/token``.
    Raises ConfigurationError.
    """

    name: str
    vendor: Vendor | None = None
    service_token: str = field(default="", repr=False)
    resource: str = ""

    def __post_init__(self) -> None:
        if (self.vendor is None) == (not self.service_token):
            raise ConfigurationError(f"{self.name}: either a vendor to connect at or a service token")
        if self.vendor is not None and self.name == "callback":
            raise ConfigurationError("callback: this name is taken by the address that vendors answer to")
