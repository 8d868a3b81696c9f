"""Vendors as data: what the presets say, and settings that would be unsafe do not start."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from shared_auth.configuration import ConfigurationError
from shared_auth.vault.presets import PRESETS, vendor
from shared_auth.vault.vendor import VaultServer, Vendor

ID: dict[str, Any] = {"client_id": "portal", "client_secret": "s3cret"}
OWN = {"authorize_url": "https://v.example/authorize", "token_url": "https://v.example/token", "scopes": ("a",)} | ID


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_needs_a_registration_and_nothing_else(preset: str) -> None:
    found = vendor(preset, None, {"scopes": ("a",)} | ID)
    assert found.token_url.startswith("https://")
    assert "{host}" not in found.authorize_url + found.token_url + found.revoke_url + found.sites_url
    assert "s3cret" not in repr(found)


def test_what_is_set_wins_over_the_preset_and_the_host_is_a_companys_own() -> None:
    found = vendor("gitlab", "https://gitlab.acme.example/", ID | {"scopes": ("api",), "pkce": False})
    assert found.authorize_url == "https://gitlab.acme.example/oauth/authorize"
    assert found.revoke_url == "https://gitlab.acme.example/oauth/revoke"
    assert (found.scopes, found.pkce, found.redirect_uri_on_refresh) == (("api",), False, True)
    assert (found.host, found.expected_issuer) == ("gitlab.acme.example", "https://gitlab.acme.example")
    assert vendor("google", None, ID | {"scopes": ("a",)}).expected_issuer == "https://accounts.google.com"


def test_atlassians_habits_are_in_its_preset() -> None:
    found = vendor("jira", None, ID)
    assert (found.body, found.pkce, found.revoke_url) == ("json", False, "")
    assert found.authorize_params == {"audience": "api.atlassian.com", "prompt": "consent"}
    assert found.required_scopes == {"read:jira-work", "write:jira-work", "read:jira-user"}
    assert found.missing("read:jira-work") == ("write:jira-work", "read:jira-user")


@pytest.mark.requirement("VG-15")
def test_what_a_scope_includes_is_not_missing() -> None:
    found = vendor("gitlab", None, ID)
    assert found.permits("read_api") == {"read_api", "read_user"}
    assert found.permits("api openid") >= {"api", "read_api", "read_user", "write_repository", "openid"}
    assert (found.missing("api"), found.missing("read_user")) == ((), ("read_api",))
    plain = vendor("gitlab", None, ID | {"scope_includes": {}})
    assert plain.permits("api") == {"api"}
    assert plain.missing("api") == ("read_api",)
    assert vendor("jira", None, ID).permits("") == frozenset()


@pytest.mark.requirement("VG-20", "VG-22")
def test_a_scope_that_the_settings_do_not_name_is_asked_for_by_one_that_includes_it() -> None:
    found = vendor("gitlab", None, ID | {"scopes": ("read_user",)})
    assert found.asking(("read_api",)) == ("api",)
    assert found.asking(("read_user", "read_repository")) == ("read_user", "api")
    assert found.asking(("sudo",)) == ()


@pytest.mark.requirement("VG-21")
def test_less_is_what_people_may_be_asked_for_and_is_not_permitted_any_more() -> None:
    found = vendor("gitlab", None, ID | {"scopes": ("read_api", "openid"), "more_scopes": ("api", "read_api")})
    assert found.grantable == ("read_api", "openid", "api")
    assert found.lost("api sudo", "read_api") == ("api",)
    assert found.lost("api", "read_user") == ("read_api", "api")
    assert found.lost("read_api openid", "api") == ()
    assert found.lost("", "") == ()


def test_a_vendor_without_a_preset_is_written_out() -> None:
    assert vendor(None, None, OWN).host == "v.example"
    assert vendor(None, "https://v.example", OWN | {"token_url": "{host}/t"}).token_url == "https://v.example/t"
    with pytest.raises(ConfigurationError, match="token_url: names"):
        vendor(None, None, OWN | {"token_url": "{host}/t"})


@pytest.mark.requirement("VG-10", "VG-14")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"authorize_url": ""}, "authorize_url"),
        ({"authorize_url": "http://v.example/a"}, "authorize_url"),
        ({"authorize_url": "javascript:alert(1)"}, "authorize_url"),
        ({"authorize_url": "https://v.example/a?state=x"}, "authorize_url"),
        ({"token_url": "http://10.0.0.7/token"}, "token_url"),
        ({"token_url": "https://user:pass@v.example/token"}, "token_url"),
        ({"revoke_url": "https://v.example/a#b"}, "revoke_url"),
        ({"sites_url": "ftp://v.example/"}, "sites_url"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\nb"}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"auth_method": "none"}, "client_secret"),
        ({"auth_method": "none", "client_secret": "", "pkce": False}, "pkce"),
        ({"scopes": ("a b",)}, "scopes"),
        ({"scopes": ("",)}, "scopes"),
        ({"scopes": ()}, "scopes"),
        ({"scope_includes": {"a": ("b c",)}}, "scope_includes"),
        ({"scope_includes": {"": ("b",)}}, "scope_includes"),
        ({"scopes": ("a",), "required": frozenset({"b"})}, "required_scopes"),
        ({"authorize_params": {"state": "x"}}, "authorize_params"),
    ],
)
def test_settings_that_would_be_unsafe_do_not_start(changes: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{says}") as refused:
        Vendor(**({"title": "V"} | OWN | changes))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://v.example/token", ["10.20.0.0/16"]),
        ("https://10.0.0.7/token", ["10.20.0.0/16", "10.0.0.7/32"]),
        ("https://[fd00::7]/token", ["10.20.0.0/16", "fd00::7/128"]),
        ("http://localhost:1/token", ["10.20.0.0/16", "127.0.0.0/8", "::1/128"]),
        ("https://localhost.example/token", ["10.20.0.0/16"]),
    ],
)
def test_an_address_that_is_written_out_is_meant_and_a_name_needs_its_network(url: str, allowed: Any) -> None:
    found = Vendor("V", OWN["authorize_url"], url, "portal", "s", scopes=("a",), networks=(ip_network("10.20.0.0/16"),))
    assert [str(network) for network in found.allowed(url)] == allowed


def test_browsers_may_follow_to_the_vendor_and_on() -> None:
    assert vendor(None, None, OWN).form_target == "https:"
    local = vendor(None, None, OWN | {"authorize_url": "http://127.0.0.1:8390/a"})
    assert local.form_target == "https: http://127.0.0.1:8390"


def test_a_server_works_with_people_or_with_a_service_account() -> None:
    found = vendor(None, None, OWN)
    assert (VaultServer("a", found).vendor, VaultServer("b", service_token="x").service_token) == (found, "x")
    wrongs: list[dict[str, Any]] = [{"name": "a"}, {"name": "a", "vendor": found, "service_token": "x"}]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match="either"):
            VaultServer(**wrong)
    with pytest.raises(ConfigurationError, match="callback"):
        VaultServer("callback", found)
