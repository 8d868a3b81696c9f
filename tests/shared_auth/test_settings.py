from __future__ import annotations

from typing import Any

import pytest

from shared_auth.configuration import ConfigurationError, is_loopback
from shared_auth.identity.settings import OidcSettings
from shared_auth.settings import AuthSettings

GOOD: dict[str, Any] = {
    "issuer": "https://portal.example",
    "resource": "https://portal.example/mcp",
    "secret": b"s" * 32,
    "oidc": OidcSettings(issuer="https://login.example", client_id="portal", client_secret="p" * 32),
}


def test_the_addresses_of_the_documents_follow_from_the_resource() -> None:
    settings = AuthSettings(**GOOD)
    assert settings.resource_metadata == "https://portal.example/.well-known/oauth-protected-resource/mcp"
    assert settings.secure
    assert not settings.loopback


@pytest.mark.requirement("SH-06")
def test_the_secret_is_in_no_repr() -> None:
    assert "ssss" not in repr(AuthSettings(**GOOD))


@pytest.mark.requirement("RS-40", "AS-06", "AS-100", "SH-06")
@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"secret": b"short"}, "secret"),
        ({"secret": "s" * 32}, "secret"),
        ({"issuer": "https://portal.example/"}, "issuer"),
        ({"local_subject": "client:build"}, "local_subject"),
        ({"issuer": "https://Portal.example"}, "issuer"),
        ({"issuer": "https://portal.example/auth"}, "issuer"),
        ({"issuer": "https://user@portal.example"}, "issuer"),
        ({"issuer": 'https://portal.example"'}, "issuer"),
        ({"issuer": "ftp://portal.example"}, "issuer"),
        ({"issuer": "http://portal.example", "resource": "http://portal.example/mcp"}, "issuer: must be https"),
        ({"resource": "https://other.example/mcp"}, "resource"),
        ({"resource": "https://portal.example.evil.example/mcp"}, "resource"),
        ({"resource": "https://portal.example/"}, "resource"),
        ({"resource": "https://portal.example/mcp/"}, "resource"),
        ({"resource": "https://portal.example/mcp#x"}, "resource"),
        ({"resource": 'https://portal.example/mcp"'}, "resource"),
        ({"access_token_s": 0}, "access_token_s"),
        ({"access_token_s": 86_401}, "access_token_s"),
        ({"refresh_token_s": 599}, "refresh_token_s"),
        ({"grant_s": 599}, "grant_s"),
        ({"registrations_per_address": 0}, "registrations_per_address"),
        ({"local_subject": ""}, "local_subject"),
        ({"local_groups": frozenset({""})}, "local_groups"),
        # Whoever holds the printed link is signed in: never on an address that others reach.
        ({"local_sign_in": True, "oidc": None}, "local_sign_in"),
        ({"oidc": None}, "oidc: must be set"),
    ],
)
def test_unsafe_settings_are_refused_by_name(change: Any, names: Any) -> None:
    with pytest.raises(ConfigurationError, match=names) as error:
        AuthSettings(**(GOOD | change))
    assert "ssss" not in str(error.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_a_loopback_issuer_may_be_http_and_sign_in_locally(host: Any) -> None:
    settings = AuthSettings(
        issuer=f"http://{host}:8300", resource=f"http://{host}:8300/mcp", secret=b"s" * 32, local_sign_in=True
    )
    assert settings.loopback
    assert not settings.secure


@pytest.mark.parametrize("host", ["", "localhost.example", "127.0.0.1.example", "10.0.0.1", "::2"])
def test_what_only_looks_like_loopback_is_not(host: Any) -> None:
    assert not is_loopback(host)
