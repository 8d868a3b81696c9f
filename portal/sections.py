"""The sections of the settings: what each part of the portal lets an operator set, and its bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared_auth.configuration import is_loopback


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Person(_Section):
    """The person whom the built-in local sign-in signs in."""

    subject: str = Field(default="local", min_length=1, max_length=100)
    name: str = "Local developer"
    email: str = "developer@localhost"
    groups: list[str] = Field(default_factory=list, description="Groups that policy sees, such as `portal-writers`.")


class AuthClient(_Section):
    """A client that the operator knows, for what a stranger may not do."""

    name: str = Field(default="", max_length=200, description="What people see; default: the id.")
    grant_types: list[str] = Field(
        default_factory=list,
        description="`client_credentials`: it acts for itself; `authorization_code`: people sign in through it, with "
        "`refresh_token` to stay; `urn:ietf:params:oauth:grant-type:device_code`: for machines without a browser; "
        "`urn:ietf:params:oauth:grant-type:jwt-bearer`: with the provider's identity assertions.",
    )
    auth_method: Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] | None = Field(
        default=None, description="How it proves itself. Default: what secret_hash or jwks allow, `none` without."
    )
    secret_hash: str | None = Field(
        default=None, description="SHA-256 of its secret, hexadecimal; `portal client-secret` makes both."
    )
    jwks: list[dict[str, Any]] = Field(default_factory=list, description="Its public keys, each with a `kid`.")
    redirect_uris: list[str] = Field(default_factory=list, description="Where a sign-in may answer, exactly.")
    groups: list[str] = Field(default_factory=list, description="Groups that policy sees when it acts for itself.")
    server: str | None = Field(
        default=None,
        description="The upstream that this client is, with `urn:ietf:params:oauth:grant-type:token-exchange`: it may "
        "ask for the credentials of whoever calls it.",
    )
    introspect: bool = Field(default=False, description="It may ask what any token is worth (RFC 7662).")
    scopes: list[str] = Field(default_factory=lambda: ["mcp"], description="Scopes it may ask for.")


class OidcSection(_Section):
    """The company's OpenID Connect provider. Register `<public_url>/sign-in/callback` there as redirect address."""

    issuer: str = Field(description="The provider's issuer, exactly as its discovery document states it.")
    client_id: str = Field(min_length=1, description="What the provider calls this portal.")
    client_secret: SecretStr | None = Field(default=None, description="Its secret; none for a public client.")
    scopes: list[str] = Field(
        default_factory=lambda: ["openid", "profile", "email"], description="What to ask the provider for."
    )
    groups_claim: str = Field(
        default="groups", min_length=1, description="Claim of the ID token that lists a person's groups."
    )
    required_claims: dict[str, str] = Field(
        default_factory=dict,
        description="Only people whose ID token holds these values may sign in, such as `hd` or a group.",
    )
    extra_audiences: list[str] = Field(
        default_factory=list, description="Audiences that an ID token may name beside client_id."
    )
    sign_in_again_s: int = Field(
        default=7 * 86_400,
        ge=3_600,
        le=90 * 86_400,
        description="Age of a sign-in from which agents are sent to sign in again; groups are as fresh as that.",
    )
    identity_assertions: bool = Field(
        default=False,
        description="Whether the provider may say which declared client acts for whom, and nobody is asked: identity "
        "assertion grants, which MCP calls enterprise-managed authorization.",
    )


class DocumentsSection(_Section):
    """Clients that are known by an https address (client ID metadata documents)."""

    enabled: bool = Field(default=False, description="Whether agents may use an https address as their client id.")
    fetch: bool = Field(default=True, description="Whether documents are fetched; off, only `seeded` ones count.")
    hosts: list[str] = Field(
        default_factory=list, description="Publishers to trust; `.example.com` means all under it; empty means any."
    )
    private_networks: list[str] = Field(
        default_factory=list, description="Internal networks that documents may be fetched from, as `10.20.0.0/16`."
    )
    seeded: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Documents by client id that are never fetched."
    )


class AuthSection(_Section):
    """How people and agents sign in."""

    secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Seals signing keys and kept results; the same on every replica. Default: a file in data_dir.",
    )
    local_sign_in: bool = Field(default=True, description="One-time link printed at start; loopback addresses only.")
    local_person: Person = Person()
    oidc: OidcSection | None = Field(
        default=None, description="Sign-in through the company's provider; turns the local sign-in off."
    )
    client_documents: DocumentsSection = DocumentsSection()
    access_token_s: int = Field(default=600, ge=60, le=3_600, description="Life of an access token.")
    refresh_token_s: int = Field(
        default=30 * 86_400, ge=3_600, le=365 * 86_400, description="Life of a refresh token; each use makes a new one."
    )
    grant_s: int = Field(
        default=90 * 86_400,
        ge=3_600,
        le=3_650 * 86_400,
        description="Longest life of a grant, however often it is used; then the person signs in again.",
    )
    admin_groups: list[str] = Field(
        default_factory=list, description="Members may end anybody's access on the page `/access`; empty is nobody."
    )
    registrations_per_address: int = Field(
        default=30,
        ge=1,
        le=100_000,
        description="Clients that one address may register at once, and then one every two seconds; per replica.",
    )
    clients: dict[str, AuthClient] = Field(
        default_factory=dict, description="`[auth.clients.<id>]`: clients that the operator declares, see below."
    )
    cli_token_s: int = Field(default=12 * 3_600, ge=60, le=24 * 3_600, description="Life of `portal token`.")


class SandboxSection(_Section):
    """How programs are confined."""

    jail: Literal["auto", "require", "degrade"] = Field(
        default="auto",
        description="`require` refuses to start unless every layer is in force; `degrade` goes on with a warning; "
        "`auto` is `degrade` on a loopback address and `require` on any other.",
    )
    min_workers: int = Field(default=4, ge=1, le=64, description="Workers kept warm.")
    max_workers: int = Field(default=64, ge=1, le=512, description="Programs that may run at once.")
    checkouts_per_worker: int = Field(
        default=100, ge=1, le=10_000, description="Programs after which a worker is replaced."
    )
    checkout_timeout_s: float = Field(default=10.0, gt=0, le=120, description="Longest wait for a free worker.")
    checkers: int = Field(default=1, ge=1, le=16, description="Workers that type-check.")
    engine: Literal["monty", "monty+cpython"] = Field(
        default="monty+cpython",
        description="`monty+cpython` runs on a jailed CPython what Monty's Python lacks. Where any layer of its jail "
        "is missing, CPython stays off, whatever `sandbox.jail` says.",
    )
    warm_children: int = Field(default=2, ge=0, le=64, description="CPython processes kept ready; each serves once.")


Ranking = Literal["words+vectors", "words+vectors+sentences"]


class SearchSection(_Section):
    """How tools are found."""

    ranking: Ranking = Field(
        default="words+vectors",
        description="`words+vectors+sentences` lets a small language model judge too. It is installed by "
        "`make sentences`, and reading takes some 20 ms a tool whenever the portal starts.",
    )


class LimitsSection(_Section):
    """Bounds on one program and on its reply."""

    wall_s: float = Field(default=60.0, gt=0, le=900, description="From start to end, waiting included.")
    cpu_s: float = Field(default=5.0, gt=0, le=300, description="Own computing, waiting for calls excluded.")
    memory_bytes: int = Field(
        default=128 * 1024 * 1024, ge=16 * 1024 * 1024, le=4 * 1024**3, description="Memory of a program."
    )
    calls: int = Field(default=500, ge=0, le=100_000, description="Calls of one program.")
    in_flight: int = Field(default=64, ge=1, le=1_000, description="Calls of one program at once; more wait.")
    argument_bytes: int = Field(default=1_048_576, ge=1_024, le=64 * 1024 * 1024, description="Arguments of one call.")
    result_bytes: int = Field(
        default=4_194_304, ge=1_024, le=64 * 1024 * 1024, description="Value that a program returns."
    )
    print_bytes: int = Field(
        default=65_536, ge=0, le=10 * 1024 * 1024, description="What a program prints; more is dropped."
    )
    source_bytes: int = Field(default=65_536, ge=1_024, le=1_048_576, description="Length of a program.")
    reply_chars: int = Field(default=24_000, ge=1_000, le=1_000_000, description="Result text that reaches the agent.")
    pause_s: float = Field(
        default=3_600.0, ge=60, le=86_400, description="How long a paused program waits for its person."
    )
    paused_per_person: int = Field(default=20, ge=1, le=1_000, description="Programs of one person that may wait.")
    snapshot_bytes: int = Field(
        default=4_194_304, ge=65_536, le=64 * 1024 * 1024, description="What a program may hold where it is paused."
    )
    hold_s: float = Field(
        default=300.0, ge=1, le=900, description="How long a program on CPython waits for its person, in its process."
    )
    held_programs: int = Field(
        default=8, ge=0, le=1_000, description="Programs that wait in their process, each with its memory; 0: none."
    )
    held_per_person: int = Field(default=2, ge=1, le=1_000, description="Of these, one person's.")
    programs_per_principal: int = Field(
        default=8, ge=1, le=1_000, description="Programs one principal may run at once."
    )


class ResultsSection(_Section):
    """Results that are kept under a handle, each for the person whose program made it."""

    life_s: int = Field(default=3_600, ge=60, le=30 * 86_400, description="How long one can be read.")
    handle_bytes: int = Field(
        default=4_194_304, ge=65_536, le=64 * 1024 * 1024, description="JSON or data of one; more is not kept."
    )
    person_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=65_536,
        le=16 * 1024**3,
        description="All of one person's; the oldest make room. One program saves, and loads, at most as much.",
    )

    @model_validator(mode="after")
    def _one_fits(self) -> ResultsSection:
        if self.person_bytes < self.handle_bytes:
            raise ValueError("person_bytes must be at least handle_bytes")
        return self


class PolicySection(_Section):
    """Who may do what."""

    write_groups: list[str] = Field(
        default_factory=lambda: ["portal-writers"], description="Members may call tools that write."
    )
    files: list[Path] = Field(default_factory=list, description="Cedar files that stand beside default.cedar.")
    agree_in_client: bool = Field(
        default=False,
        description="Whether a yes that a person gives in their client counts for `@ask`. The client is the agent's "
        "own program and could give it by itself; off, only the portal's page counts.",
    )


class BudgetSection(_Section):
    """Bounds that hold over many programs."""

    writes_per_program: int = Field(default=50, ge=0, le=10_000, description="More end the program.")
    calls_per_minute: int = Field(default=3_000, ge=1, le=1_000_000, description="Per person and replica.")
    upstream_concurrency: int = Field(
        default=64, ge=1, le=10_000, description="Calls in flight to one upstream, per replica."
    )
    call_timeout_s: float = Field(default=30.0, gt=0, le=600, description="Longest wait for one call.")


class AuditSection(_Section):
    """The record of programs and calls."""

    keep_days: int = Field(
        default=365, ge=1, le=36_500, description="Older programs and their calls are deleted, every hour."
    )


class Demo(_Section):
    """A vendor that `portal serve` starts beside itself, for a first look without any account."""

    options: dict[str, Any] = Field(default_factory=dict)


class VendorSection(_Section):
    """Where people connect their own accounts. Register `<public_url>/connect/callback` there as redirect address.

    What a preset knows need not be set; what is set wins. ``{host}`` in an address is `host`.
    """

    preset: Literal["gitlab", "jira", "sentry", "google"] | None = Field(
        default=None, description="A vendor that is known: addresses, habits, scopes to read."
    )
    host: str | None = Field(default=None, description="The vendor's address where a company runs its own.")
    client_id: str = Field(min_length=1, description="What the vendor calls this portal.")
    client_secret: SecretStr | None = Field(default=None, description="Its secret; none with auth_method `none`.")
    title: str | None = Field(default=None, max_length=100, description="What people call the vendor.")
    scopes: list[str] | None = Field(default=None, description="What to ask for.")
    more_scopes: list[str] | None = Field(
        default=None,
        description="What people may be asked for besides, when a call needs it. A server's word never asks for more.",
    )
    scope_includes: dict[str, list[str]] | None = Field(
        default=None, description="For a scope that permits what others permit: all of those others."
    )
    required_scopes: list[str] | None = Field(
        default=None,
        description="Scopes without which a connection is of no use. Default: all but offline_access, openid, profile "
        "and email.",
    )
    authorize_url: str | None = Field(default=None, description="Where people are sent.")
    token_url: str | None = Field(default=None, description="Where codes and refresh tokens are exchanged.")
    revoke_url: str | None = Field(default=None, description="Where access is revoked on disconnect.")
    revoke_ends_all: bool | None = Field(
        default=None, description="Whether revoking one token ends all that the person let the portal do. Default: no."
    )
    authorize_params: dict[str, str] | None = Field(default=None, description="More parameters for authorize_url.")
    pkce: bool | None = Field(default=None, description="Whether the vendor takes PKCE (S256). Default: yes.")
    auth_method: Literal["client_secret_basic", "client_secret_post", "none"] | None = Field(
        default=None, description="How the portal proves itself. Default: client_secret_post."
    )
    body: Literal["form", "json"] | None = Field(default=None, description="Form of token requests. Default: form.")
    redirect_uri_on_refresh: bool | None = Field(
        default=None, description="Whether a refresh repeats the redirect address."
    )
    issuer: str | None = Field(
        default=None, description="What `iss` must be in the vendor's answer. Default: the origin of authorize_url."
    )
    states_issuer: bool | None = Field(default=None, description="Whether `iss` must be in every answer.")
    sites_url: str | None = Field(
        default=None, description="Lists the sites or organisations of a token; people choose one."
    )
    site_id: str | None = Field(default=None, description="Member of a listed site that names it. Default: id.")
    site_name: str | None = Field(default=None, description="Member that people read. Default: name.")
    site_url: str | None = Field(default=None, description="Member that holds its address. Default: url.")
    private_networks: list[str] | None = Field(
        default=None, description="Internal networks that the vendor's names may resolve to, as `10.20.0.0/16`."
    )


class Upstream(_Section):
    """One MCP server behind the portal: ``module`` in this process, or ``url`` over HTTP."""

    module: str | None = Field(
        default=None, pattern=r"^[a-z_][\w.]*$", description="Package of a server to run in this process."
    )
    url: str | None = Field(default=None, pattern=r"^https?://", description="MCP endpoint of a remote server.")
    token: SecretStr | None = Field(default=None, description="Static bearer for `url`; never an agent's token.")
    auth: Literal["token", "exchange"] = Field(
        default="token",
        description="`exchange`: each call carries a token of a minute for whoever asks, with `url` as its audience.",
    )
    summary: str = Field(default="", max_length=300, description="What it is for, as `search` shows it.")
    settings: dict[str, Any] = Field(default_factory=dict, description="The server's own; its README lists them.")
    credential: Literal["none", "person", "service"] = Field(
        default="none",
        description="What the server acts with at its vendor beside its own settings: `person`, the account that each "
        "person connects, needs `oauth`; `service`, one account for everybody, needs `service_token`.",
    )
    service_token: SecretStr | None = Field(default=None, description="The token of the service account.")
    oauth: VendorSection | None = Field(default=None, description="Where people connect their accounts.")
    demo: Demo | None = Field(default=None, description="Start the server's demo vendor and use it.")

    @model_validator(mode="after")
    def _one_way(self) -> Upstream:
        if (self.module is None) == (self.url is None):
            raise ValueError("give either module or url")
        if self.auth == "exchange":
            if self.url is None or self.token is not None:
                raise ValueError("auth: exchange goes with url and without token")
            parts = urlsplit(self.url)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                raise ValueError("url: must be https with auth = exchange, unless it is a loopback address")
        return self

    @model_validator(mode="after")
    def _one_credential(self) -> Upstream:
        if (self.credential == "person") != (self.oauth is not None):
            raise ValueError("credential: person goes with [oauth], and [oauth] with credential = person")
        if (self.credential == "service") != (self.service_token is not None):
            raise ValueError("credential: service goes with service_token, and only that")
        if self.credential != "none" and self.url is not None and self.auth != "exchange":
            raise ValueError("credential: a server at a url gets one only with auth = exchange")
        return self
