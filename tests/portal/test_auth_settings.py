"""What an operator writes about signing in reaches the auth flow, and what would be unsafe does not start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portal.mapping import auth_settings
from portal.settings import ConfigurationError, PortalSettings, load
from shared_auth.configuration import ConfigurationError as AuthConfigurationError

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "sign-in.md").read_text(encoding="utf-8")
PROVIDER, DOCUMENTS, SEEDED = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def settings(folder: Path, text: str) -> PortalSettings:
    path = folder / "portal.toml"
    path.write_text(f'data_dir = "{folder}"\n{text}', encoding="utf-8")
    return load(path)


def test_the_guides_provider_is_what_the_auth_flow_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_AUTH__OIDC__CLIENT_SECRET", "hush-hush")
    found = settings(tmp_path, PROVIDER)
    assert "hush-hush" not in repr(found)
    auth = auth_settings(found)
    assert auth.oidc is not None
    assert (auth.oidc.issuer, auth.oidc.client_id, auth.oidc.client_secret) == (
        "https://login.example",
        "mcp-portal",
        "hush-hush",
    )
    assert auth.oidc.required_claims == {"groups": "engineering"}
    assert auth.documents is None
    assert not auth.local_sign_in
    assert "hush-hush" not in repr(auth)


def test_the_guides_documents_are_what_the_auth_flow_gets(tmp_path: Path) -> None:
    trusted = auth_settings(settings(tmp_path, DOCUMENTS)).documents
    assert trusted is not None
    assert trusted.trusts("agent.example")
    assert not trusted.trusts("evil.example")
    seeded = auth_settings(settings(tmp_path, SEEDED)).documents
    assert seeded is not None
    assert not seeded.fetch
    assert list(seeded.seeded) == ["https://agent.example/oauth/client.json"]


@pytest.mark.parametrize("local", ["true", "false"])
def test_on_a_public_address_nothing_starts_without_a_provider(tmp_path: Path, local: str) -> None:
    found = settings(tmp_path, f'public_url = "https://portal.example"\n[auth]\nlocal_sign_in = {local}\n')
    with pytest.raises(AuthConfigurationError, match="oidc"):
        auth_settings(found)


def test_a_provider_turns_the_local_sign_in_off_on_loopback_too(tmp_path: Path) -> None:
    found = settings(tmp_path, '[auth.oidc]\nissuer = "https://login.example"\nclient_id = "portal"\n')
    assert found.auth.local_sign_in, "the default"
    assert not found.local_sign_in
    assert not auth_settings(found).local_sign_in


def test_a_misspelt_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="group_claim"):
        settings(tmp_path, '[auth.oidc]\nissuer = "https://login.example"\nclient_id = "x"\ngroup_claim = "g"\n')
