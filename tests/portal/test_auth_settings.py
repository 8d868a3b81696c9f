"""What an operator writes about signing in reaches the auth flow, and what would be unsafe does not start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portal.mapping import auth_settings, declared_clients
from portal.settings import ConfigurationError, PortalSettings, load
from shared_auth.configuration import ConfigurationError as AuthConfigurationError

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "sign-in.md").read_text(encoding="utf-8")
PROVIDER, DOCUMENTS, SEEDED, VOUCHED = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


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


def test_the_guides_vouched_agent_is_what_the_auth_flow_gets(tmp_path: Path) -> None:
    provider = 'issuer = "https://login.example"\nclient_id = "portal"\nidentity_assertions'
    text = VOUCHED.replace("identity_assertions", provider).replace("…", "a" * 64)
    found = settings(tmp_path, f'public_url = "https://portal.example"\n{text}')
    auth = auth_settings(found)
    assert auth.oidc is not None
    assert auth.oidc.identity_assertions
    assert [client.client_id for client in declared_clients(found)] == ["desk"]


def test_lives_and_operators_reach_the_auth_flow(tmp_path: Path) -> None:
    auth = auth_settings(settings(tmp_path, '[auth]\ngrant_s = 7200\nadmin_groups = ["sre"]\n'))
    assert (auth.grant_s, auth.admin_groups) == (7_200, frozenset({"sre"}))
    assert auth_settings(settings(tmp_path, "")).admin_groups == frozenset(), "nobody by default"


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
