"""What is known of vendors' OAuth: one table, every field of which a setting may override.

``{host}`` becomes the vendor's address, for vendors that a company runs itself. Sources, all the vendors' own pages:
GitLab, "OAuth 2.0 identity provider API"; Atlassian, "OAuth 2.0 (3LO) apps"; Sentry, "API authentication"; Google,
"Using OAuth 2.0 for Web Server Applications".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from shared_auth.configuration import ConfigurationError
from shared_auth.vault.vendor import Vendor

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gitlab": {
            "title": "GitLab",
            "host": "https://gitlab.com",
            "authorize_url": "{host}/oauth/authorize",
            "token_url": "{host}/oauth/token",
            "revoke_url": "{host}/oauth/revoke",
            "scopes": ("read_api",),
            "more_scopes": ("api",),
            # docs.gitlab.com/user/profile/personal_access_tokens, "Personal access token scopes", and OAuth's:
            # api is all of the API, registry and repositories included, and read_api is reading all of the API.
            "scope_includes": {
                "api": (
                    *("read_api", "read_user", "read_repository", "write_repository"),
                    *("read_registry", "write_registry"),
                ),
                "read_api": ("read_user",),
            },
            # A refresh ends the old access token and the old refresh token, and repeats the redirect address.
            "redirect_uri_on_refresh": True,
        },
        "jira": {
            "title": "Jira",
            "host": "https://auth.atlassian.com",
            "authorize_url": "{host}/authorize",
            "token_url": "{host}/oauth/token",
            # The audience is what makes it a token for the API; without the prompt a second consent is skipped.
            "authorize_params": {"audience": "api.atlassian.com", "prompt": "consent"},
            "body": "json",
            "pkce": False,
            # Without offline_access there is no refresh token. Each refresh token is good once.
            "scopes": ("read:jira-work", "write:jira-work", "read:jira-user", "offline_access"),
            # One grant may hold several sites; the API's address has the chosen one's id in it.
            "sites_url": "https://api.atlassian.com/oauth/token/accessible-resources",
        },
        "sentry": {
            "title": "Sentry",
            "host": "https://sentry.io",
            "authorize_url": "{host}/oauth/authorize/",
            "token_url": "{host}/oauth/token/",
            "scopes": ("org:read", "project:read", "team:read", "event:read"),
            "more_scopes": ("event:write",),
            # A token is for the one organisation that the person chose there; the API's paths need its slug.
            "sites_url": "{host}/api/0/organizations/",
            "site_id": "slug",
        },
        "google": {
            "title": "Google",
            "host": "https://accounts.google.com",
            "authorize_url": "{host}/o/oauth2/v2/auth",
            "token_url": "https://oauth2.googleapis.com/token",
            "revoke_url": "https://oauth2.googleapis.com/revoke",
            # offline asks for a refresh token, and only a shown consent gives one the second time.
            "authorize_params": {"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"},
            "issuer": "https://accounts.google.com",
            # "Incremental authorization" there: revoking one token of a combined authorization revokes all of it.
            "revoke_ends_all": True,
        },
    }
)


def vendor(preset: str | None, host: str | None, given: Mapping[str, Any]) -> Vendor:
    """Return the vendor of ``preset`` at ``host`` with the fields that are ``given`` in place of the preset's.

    Raises ConfigurationError.
    """
    fields: dict[str, Any] = dict(PRESETS[preset]) if preset is not None else {}
    standing = fields.pop("host", "")
    fields |= given
    root = (host or standing).rstrip("/")
    for name in ("authorize_url", "token_url", "revoke_url", "sites_url"):
        url = fields.get(name, "")
        if "{host}" in url and not root:
            raise ConfigurationError(f"{name}: names {{host}}, so host must be set")
        fields[name] = url.replace("{host}", root)
    return Vendor(**{"title": "", **fields})
