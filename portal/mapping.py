"""The settings in the words of the rooms that they are for. Pure: nothing is opened or started."""

from __future__ import annotations

from ipaddress import ip_network
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings

from portal.programs.handles import Bounds
from portal.programs.held import Room
from portal.sandbox.contract import Limits, Options
from portal.secret import secret_of
from portal.sections import AuthClient, DocumentsSection, OidcSection, VendorSection
from portal.settings import ConfigurationError, PortalSettings
from shared_auth.authorization.declared import AuthMethod, DeclaredClient, read_keys
from shared_auth.authorization.document_settings import DocumentSettings
from shared_auth.configuration import ConfigurationError as AuthConfigurationError
from shared_auth.identity.settings import OidcSettings
from shared_auth.settings import AuthSettings
from shared_auth.vault.presets import vendor
from shared_auth.vault.vendor import VaultServer, Vendor


def auth_settings(settings: PortalSettings) -> AuthSettings:
    """Return what the auth flow needs to know, and nothing else."""
    section = settings.auth
    return AuthSettings(
        issuer=settings.issuer,
        resource=settings.endpoint,
        secret=secret_of(settings),
        access_token_s=section.access_token_s,
        refresh_token_s=section.refresh_token_s,
        grant_s=section.grant_s,
        registrations_per_address=section.registrations_per_address,
        local_sign_in=settings.local_sign_in,
        local_subject=section.local_person.subject,
        local_name=section.local_person.name,
        local_email=section.local_person.email,
        local_groups=frozenset(section.local_person.groups),
        admin_groups=frozenset(section.admin_groups),
        oidc=_oidc(section.oidc),
        documents=_documents(section.client_documents),
    )


def _oidc(section: OidcSection | None) -> OidcSettings | None:
    if section is None:
        return None
    return OidcSettings(
        issuer=section.issuer,
        client_id=section.client_id,
        client_secret="" if section.client_secret is None else section.client_secret.get_secret_value(),
        scopes=tuple(section.scopes),
        groups_claim=section.groups_claim,
        required_claims=section.required_claims,
        extra_audiences=frozenset(section.extra_audiences),
        sign_in_again_s=section.sign_in_again_s,
        identity_assertions=section.identity_assertions,
    )


def _documents(section: DocumentsSection) -> DocumentSettings | None:
    if not section.enabled:
        return None
    return DocumentSettings(
        hosts=frozenset(section.hosts),
        fetch=section.fetch,
        private_networks=tuple(section.private_networks),
        seeded=section.seeded,
    )


def declared_clients(settings: PortalSettings) -> list[DeclaredClient]:
    """Return the clients of the settings. Raises the auth flow's ConfigurationError."""
    return [_declared(client_id, client) for client_id, client in settings.auth.clients.items()]


def _declared(client_id: str, client: AuthClient) -> DeclaredClient:
    by_default: AuthMethod = (
        "private_key_jwt" if client.jwks else "client_secret_basic" if client.secret_hash else "none"
    )
    return DeclaredClient(
        client_id=client_id,
        name=client.name or client_id,
        auth_method=client.auth_method or by_default,
        grant_types=frozenset(client.grant_types),
        redirect_uris=tuple(client.redirect_uris),
        secret_hash=client.secret_hash,
        keys=read_keys(client_id, client.jwks),
        groups=frozenset(client.groups),
        scopes=frozenset(client.scopes),
        may_introspect=client.introspect,
        server=client.server or "",
    )


def vault_servers(settings: PortalSettings) -> list[VaultServer]:
    """Return the upstreams that work with a credential. Raises ConfigurationError that names upstream and setting."""
    found = []
    for name, upstream in settings.upstreams.items():
        if upstream.credential == "none":
            continue
        try:
            token = "" if upstream.service_token is None else upstream.service_token.get_secret_value()
            found.append(VaultServer(name, _vendor(upstream.oauth), token, upstream.url or ""))
        except AuthConfigurationError as error:
            raise ConfigurationError(f"upstreams.{name}.oauth.{error}") from None
    known = {one.name for one in found}
    for client_id, client in settings.auth.clients.items():
        if client.server and client.server not in known:
            raise ConfigurationError(f"auth.clients.{client_id}.server: no upstream of this name has a credential")
    return found


def _vendor(section: VendorSection | None) -> Vendor | None:
    if section is None:
        return None
    given = section.model_dump(exclude_none=True, exclude={"preset", "host"})
    if section.client_secret is not None:
        given["client_secret"] = section.client_secret.get_secret_value()
    if "required_scopes" in given:
        given["required"] = frozenset(given.pop("required_scopes"))
    for name in ("scopes", "more_scopes"):
        if name in given:
            given[name] = tuple(given[name])
    if "scope_includes" in given:
        given["scope_includes"] = {wider: tuple(others) for wider, others in given["scope_includes"].items()}
    try:
        given["networks"] = tuple(ip_network(one) for one in given.pop("private_networks", ()))
    except ValueError:
        raise AuthConfigurationError("private_networks: each must be a network such as 10.20.0.0/16") from None
    return vendor(section.preset, section.host, given)


def sandbox_options(settings: PortalSettings) -> Options:
    """Return how the sandbox is to be built."""
    section = settings.sandbox
    return Options(
        jail=settings.jail,
        min_workers=section.min_workers,
        max_workers=section.max_workers,
        checkouts_per_worker=section.checkouts_per_worker,
        checkout_timeout_s=section.checkout_timeout_s,
        checkers=section.checkers,
        engine=section.engine,
        warm_children=section.warm_children,
    )


def room(settings: PortalSettings) -> Room:
    """Return how many programs may wait in their process: never so many that none could run beside them."""
    section = settings.limits
    most = min(section.held_programs, settings.sandbox.max_workers // 2)
    return Room(most, section.held_per_person, section.hold_s)


def limits(settings: PortalSettings) -> Limits:
    """Return the bounds on one program."""
    section = settings.limits
    return Limits(
        wall_s=section.wall_s,
        cpu_s=section.cpu_s,
        memory_bytes=section.memory_bytes,
        source_bytes=section.source_bytes,
        calls=section.calls,
        in_flight=section.in_flight,
        argument_bytes=section.argument_bytes,
        result_bytes=section.result_bytes,
        print_bytes=section.print_bytes,
        snapshot_bytes=section.snapshot_bytes,
    )


def result_bounds(settings: PortalSettings) -> Bounds:
    """Return how long results are kept, and how much of them."""
    section = settings.results
    return Bounds(section.life_s, section.handle_bytes, section.person_bytes)


def security_settings(settings: PortalSettings) -> TransportSecuritySettings:
    """Return which Host and Origin headers are ours: those of the public address, and what the operator adds."""
    public = urlsplit(settings.issuer)
    hosts = [public.netloc, *settings.allowed_hosts]
    if settings.public_url is None:
        hosts += [f"{name}:{settings.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    origins = [settings.issuer, *settings.allowed_origins]
    if settings.public_url is None:
        origins += [f"http://{name}:{settings.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
